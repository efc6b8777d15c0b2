"""How often somebody may do something: the same for all processes, and without Redis for each."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pytest_django import Settings

from core import throttle
from core.outage import Outage
from core.throttle import Throttle, TooOften


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(throttle, "_outage", Outage("core.throttle"))
    yield
    throttle._shared.cache_clear()


def make(times: int = 3, seconds: int = 60, name: str = "") -> Throttle:
    return Throttle(name or uuid4().hex, times=lambda: times, seconds=seconds)


def refused(of: Throttle, key: str = "ada") -> bool:
    try:
        of.check(key, "Slow down.")
    except TooOften:
        return True
    return False


def test_the_last_time_allowed_is_the_last() -> None:
    tries = make(3)

    seen = []
    for _ in range(5):
        seen.append(refused(tries))
        tries.count("ada")

    assert seen == [False, False, False, True, True]
    assert not refused(tries, "bob")


def test_the_message_says_when_to_come_again() -> None:
    tries = make(1)
    tries.count("ada")

    with pytest.raises(TooOften, match=r"Slow down\. Try again in \d\d seconds\.") as caught:
        tries.check("ada", "Slow down.")

    assert caught.value.retry_after == pytest.approx(60, abs=20)
    assert caught.value.http_status == 429


def test_it_is_over_when_it_was_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(throttle, "clock", lambda: now)
    tries = make(2, seconds=60)
    tries.count("ada")
    tries.count("ada")
    with pytest.raises(TooOften) as caught:
        tries.check("ada", "Slow down.")
    assert caught.value.retry_after is not None

    now += caught.value.retry_after - 0.01
    assert refused(tries)
    now += 0.02

    assert not refused(tries)


def test_another_process_knows_when_it_next_counts() -> None:
    one, other = make(3, name="shared"), make(3, name="shared")
    key = uuid4().hex
    for _ in range(3):
        one.count(key)

    assert refused(one, key)
    assert not refused(other, key)
    other.count(key)
    assert refused(other, key)


def test_none_means_no_bound() -> None:
    tries = make(0)

    for _ in range(10):
        tries.count("ada")

    assert not refused(tries)


def test_without_redis_each_process_counts_and_is_not_held_up(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    throttle._shared.cache_clear()
    tries = make(3)

    for _ in range(3):
        assert not refused(tries)
        tries.count("ada")

    assert refused(tries)
    assert throttle._outage.is_paused  # nobody waits for Redis meanwhile


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST", 5)
    tries = make(1)

    for number in range(20):
        tries.count(f"caller-{number}")

    assert len(tries._refused) <= 5
    assert refused(tries, "caller-19")
