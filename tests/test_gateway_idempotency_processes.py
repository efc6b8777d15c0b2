"""`Idempotency-Key` with two processes: attached to, resumed, killed, ended, and without Redis."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from django.test import override_settings

from billing import books, sweeper
from billing.models import Outcome, UsageRecord, UsageState
from tests.gateway import MESSAGES, PATIENCE, Program, eventually, program, record
from tests.servers import Server, Site, running_server
from tests.test_gateway_idempotency import WORDS, ask, error, events, new_key, said
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = pytest.mark.processes

LEASE = "2"  # seconds, of calls


@pytest.fixture
def parley(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    vendor.script(Answer(text=WORDS))
    with program(site, vendor) as running:
        yield running


@pytest.fixture
def other(parley: Program) -> Iterator[Server]:
    """A second process, which may end."""
    with running_server(env={"PARLEY_LEASE_SECONDS": LEASE}) as running:
        yield running


def post(at: Server, parley: Program, key: str, **more: Any) -> httpx2.Response:
    """Ask another process for a completion under a key."""
    asked = {"model": parley.model, "messages": MESSAGES, **more}
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {parley.site.api_key}"}
    url = f"{at.url}/v1/chat/completions"
    return httpx2.post(url, json=asked, headers=headers, timeout=PATIENCE)


def hear(at: Server, parley: Program, key: str, until: str) -> str:
    """Return the whole events of a stream up to a word, and hang up."""
    asked = {"model": parley.model, "messages": MESSAGES, "stream": True}
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {parley.site.api_key}"}
    url = f"{at.url}/v1/chat/completions"
    heard = ""
    with httpx2.stream("POST", url, json=asked, headers=headers, timeout=PATIENCE) as stream:
        for piece in stream.iter_text():
            heard += piece
            if until in heard:
                break
    return heard[: heard.rindex("\n\n") + 2]


@pytest.mark.parametrize("stream", [False, True])
def test_one_key_at_two_processes_at_the_same_time_is_one_call(
    parley: Program, other: Server, stream: bool
) -> None:
    gate = Gate()
    parley.vendor.script(Answer(text=WORDS, gate=gate, gate_after=3))
    key = new_key()

    with ThreadPoolExecutor(6) as pool:
        here = [pool.submit(ask, parley, key, stream=stream) for _ in range(3)]
        there = [pool.submit(post, other, parley, key, stream=stream) for _ in range(3)]
        eventually(lambda: len(parley.vendor.requests) == 1)
        gate.open()
        answers = [one.result() for one in [*here, *there]]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert WORDS in (said(answers[0].text) if stream else answers[0].text)
    assert ["idempotency-replayed" in answer.headers for answer in answers].count(False) == 1
    assert len(parley.vendor.requests) == 1
    assert record().outcome == Outcome.SUCCESS
    assert books.differences() == []


def test_a_stream_that_was_cut_at_one_process_is_resumed_at_another(
    parley: Program, other: Server
) -> None:
    gate = Gate()
    parley.vendor.script(Answer(text=WORDS, gate=gate, gate_after=3))
    key = new_key()
    heard = hear(other, parley, key, "three")
    last, _ = events(heard)[-1]

    with ThreadPoolExecutor(1) as pool:
        resuming = pool.submit(ask, parley, key, last=last, stream=True)
        gate.open()
        rest = resuming.result()

    assert said(heard + rest.text) == WORDS
    assert heard + rest.text == ask(parley, key, stream=True).text
    assert len(parley.vendor.requests) == 1


def test_what_a_killed_process_was_saying_is_not_asked_and_charged_a_second_time(
    parley: Program, other: Server
) -> None:
    parley.vendor.script(Answer(text=WORDS, gate=Gate(), gate_after=3), Answer(text=WORDS))
    key = new_key()
    heard = hear(other, parley, key, "three")

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(ask, parley, key, stream=True)
        other.kill()
        followed = following.result()
    again = ask(parley, key, stream=True)
    anew = ask(parley, new_key(), stream=True)

    assert followed.text.startswith(heard)
    assert '"code":"idempotency_interrupted"' in followed.text
    assert error(again) == (409, "idempotency_interrupted")
    assert again.headers["x-should-retry"] == "false"
    assert said(anew.text) == WORDS
    sweep()
    outcomes = UsageRecord.objects.order_by("outcome").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.INTERRUPTED, Outcome.SUCCESS]
    assert books.differences() == []


def test_a_process_that_is_told_to_end_keeps_the_answer_that_it_is_giving(
    parley: Program, other: Server
) -> None:
    gate = Gate()
    parley.vendor.script(Answer(text=WORDS, gate=gate, gate_after=3))
    key = new_key()
    hear(other, parley, key, "three")

    other.process.send_signal(signal.SIGTERM)
    gate.open()
    other.process.wait(PATIENCE)
    answer = ask(parley, key, stream=True)

    assert said(answer.text) == WORDS
    assert len(parley.vendor.requests) == 1
    assert record().outcome == Outcome.SUCCESS


def test_without_redis_a_request_with_a_key_is_refused_and_others_are_answered(
    parley: Program,
) -> None:
    env = {"REDIS_URL": "redis://127.0.0.1:1", "PARLEY_REDIS_PATIENCE_SECONDS": "0.5"}
    with running_server(env=env) as lonely:
        refused = post(lonely, parley, new_key())
        parley.vendor.requests.clear()
        answered = post(lonely, parley, "")

    assert error(refused) == (503, "service_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert answered.status_code == 200
    assert len(parley.vendor.requests) == UsageRecord.objects.count() == 1


def sweep() -> None:
    """Let the sweeper come by until nothing is open."""
    deadline = time.monotonic() + PATIENCE
    with override_settings(LEASE_SECONDS=float(LEASE)):
        while UsageRecord.objects.filter(state=UsageState.STARTED).exists():
            assert time.monotonic() < deadline
            sweeper.sweep()
            time.sleep(0.05)
