"""Limits on OpenAI's wire: headers, refusals as its client knows them, wrong keys, proxies."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx2
import openai
import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from pytest_django import Settings

from accounts import keys
from core.throttle import TooOften
from gateway import rate_limits
from gateway.consumers import ModelList
from gateway.models import File
from llm import limits
from llm.models import Limit, LimitRefusal, Scope
from tests.gateway import MESSAGES, PATIENCE, Program, eventually, program
from tests.servers import Server, Site, running_server
from tests.vendor import FakeVendor


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(django_db_setup: None) -> Iterator[Server]:
    """A server behind a proxy, with little patience for wrong keys."""
    env = {"PARLEY_TRUSTED_PROXIES": "127.0.0.0/8, ::1", "PARLEY_WRONG_KEYS_PER_MINUTE": "5"}
    with running_server(env=env) as running:
        yield running


def limit(caller: Program, **figures: int) -> None:
    """Make a limit for the caller's organization, and wait until the server has heard of it."""
    Limit.objects.create(
        name="Trial",
        scope=Scope.ORGANIZATION,
        organization=caller.site.organization,
        **{"requests": 1000, "seconds": 3600, **figures},
    )
    eventually(lambda: "x-ratelimit-limit-requests" in caller.post().headers)


def ask(caller: Program, **more: object) -> object:
    return caller.openai.chat.completions.create(
        model=caller.model,
        messages=MESSAGES,
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.processes
def test_the_official_client_is_told_what_is_left(caller: Program) -> None:
    limit(caller, requests=900, tokens=100_000, seconds=60)

    first = caller.openai.chat.completions.with_raw_response.create(
        model=caller.model, messages=MESSAGES, max_tokens=100
    )
    second = caller.openai.chat.completions.with_raw_response.create(
        model=caller.model, messages=MESSAGES, max_tokens=100, stream=True
    )

    assert first.headers["x-ratelimit-limit-requests"] == "900"
    assert first.headers["x-ratelimit-limit-tokens"] == "100000"
    remaining = [int(each.headers["x-ratelimit-remaining-requests"]) for each in (first, second)]
    assert remaining[0] - remaining[1] == 1
    assert 90_000 < int(second.headers["x-ratelimit-remaining-tokens"]) < 100_000
    assert second.headers["x-ratelimit-reset-requests"].endswith("s")


@pytest.mark.processes
def test_the_official_client_raises_its_rate_limit_error(caller: Program) -> None:
    limit(caller, requests=3)
    eventually(lambda: caller.post().status_code == 429)
    asked = len(caller.vendor.requests)

    with pytest.raises(openai.RateLimitError) as caught:
        ask(caller)

    error, headers = caught.value, caught.value.response.headers
    assert (error.status_code, error.code, error.type) == (
        429,
        "rate_limit_exceeded",
        "rate_limit_error",
    )
    assert "The limit “Trial” allows an organization 3 requests an hour." in error.message
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert 3500 < int(headers["retry-after"]) <= 3600
    assert 0 <= int(headers["retry-after"]) * 1000 - int(headers["retry-after-ms"]) < 1001
    assert len(caller.vendor.requests) == asked


@pytest.mark.processes
def test_an_official_client_that_waits_as_told_gets_its_answer(caller: Program) -> None:
    limit(caller, requests=2, seconds=1)
    patient = caller.openai.with_options(max_retries=3)

    for _ in range(4):
        assert patient.chat.completions.create(model=caller.model, messages=MESSAGES).choices


@pytest.mark.processes
def test_anthropics_client_is_told_in_its_own_headers(caller: Program) -> None:
    limit(caller, requests=900, tokens=100_000, seconds=60)
    asked = {"model": caller.model, "max_tokens": 100, "messages": MESSAGES}

    for response in (
        caller.http.post("/messages", json=asked),
        caller.http.post("/messages", json={**asked, "stream": True}),
    ):
        headers = response.headers
        assert headers["anthropic-ratelimit-requests-limit"] == "900"
        assert 0 < int(headers["anthropic-ratelimit-requests-remaining"]) < 900
        assert 0 < int(headers["anthropic-ratelimit-tokens-remaining"]) < 100_000
        for figure in ("requests", "tokens"):
            reset = datetime.fromisoformat(headers[f"anthropic-ratelimit-{figure}-reset"])
            assert reset.tzinfo is not None
        assert not [name for name in headers if name.startswith("x-ratelimit")]


@pytest.mark.processes
def test_counting_and_uploading_take_of_the_limit_on_requests(caller: Program) -> None:
    limit(caller, requests=40, tokens=100_000)
    question = {"model": caller.model, "messages": MESSAGES}
    upload: Any = {"files": {"file": ("a.jsonl", b"{}\n")}, "data": {"purpose": "batch"}}

    counted = caller.http.post("/messages/count_tokens", json=question)
    uploaded = caller.http.post("/files", **upload)

    assert (counted.status_code, uploaded.status_code) == (200, 200)
    left = int(counted.headers["anthropic-ratelimit-requests-remaining"])
    assert uploaded.headers["x-ratelimit-remaining-requests"] == str(left - 1)
    assert "x-ratelimit-limit-tokens" not in uploaded.headers
    eventually(lambda: caller.post().status_code == 429)
    for refused in (
        caller.http.post("/messages/count_tokens", json=question),
        caller.http.post("/files", **upload),
    ):
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["error"]["type"] == "rate_limit_error"
    assert File.objects.count() == 1


@pytest.mark.processes
def test_without_a_limit_there_are_no_headers(caller: Program) -> None:
    assert not [name for name in caller.post().headers if name.startswith("x-ratelimit")]


@pytest.mark.processes
def test_addresses_are_told_apart_behind_a_proxy(
    site: Site, vendor: FakeVendor, guarded: Server
) -> None:
    vendor.serve("test-model")
    Limit.objects.create(name="Addresses", scope=Scope.IP, requests=2, seconds=3600)
    key = {"Authorization": f"Bearer {site.api_key}"}
    body = {"model": "test-model", "messages": MESSAGES}

    def status(forwarded: str) -> int:
        headers = {**key, "X-Forwarded-For": forwarded}
        url = f"{guarded.url}/v1/chat/completions"
        return httpx2.post(url, json=body, headers=headers, timeout=PATIENCE).status_code

    eventually(lambda: status("192.0.2.1") == 429)

    assert status("192.0.2.2") == 200
    assert status("192.0.2.2, 192.0.2.1") == 429  # the left one is what the caller made up
    assert status("192.0.2.2, 192.0.2.1, 127.0.0.9") == 429
    assert status("2001:db8::1") == 200
    assert status("2001:db8::2") == 200
    assert status("2001:db8::3") == 429  # the same network of 64 bits
    assert status("2001:db8:0:1::3") == 200


@pytest.mark.processes
def test_too_many_wrong_keys_are_refused_wherever_they_are_sent(
    site: Site, guarded: Server
) -> None:
    def answer(path: str, key: str, ip: str = "198.51.100.1") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": ip}
        return httpx2.get(f"{guarded.url}{path}", headers=headers, timeout=PATIENCE)

    wrong = [answer("/v1/models", f"pk-{uuid4().hex}") for _ in range(3)]
    wrong += [answer("/api/usage/", f"pk-{uuid4().hex}") for _ in range(2)]
    refused = answer("/v1/models", site.api_key)

    assert [response.status_code for response in wrong] == [401] * 5
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert answer("/api/usage/", f"pk-{uuid4().hex}").status_code == 429
    assert answer("/api/usage/", site.api_key).status_code == 200
    assert answer("/v1/models", site.api_key, "198.51.100.2").status_code == 200
    # It has been right before: whoever shares the address with a guesser goes on working.
    assert answer("/v1/models", site.api_key).status_code == 200


async def test_a_refused_address_costs_no_look_at_the_database(settings: Settings) -> None:
    settings.WRONG_KEYS_PER_MINUTE = 3
    ip = f"test-{uuid4().hex}"
    for _ in range(3):
        await sync_to_async(keys.wrong_keys.count)(ip)

    with pytest.raises(TooOften):  # a look would fail: this test has no database
        await keys.authenticate("pk-wrong", ip)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_who_sends_wrong_keys_is_recorded(settings: Settings) -> None:
    settings.WRONG_KEYS_PER_MINUTE = 3
    scope_headers = [(b"authorization", b"Bearer pk-wrong")]

    statuses = []
    for _ in range(6):
        communicator = HttpCommunicator(
            ModelList.as_asgi(), "GET", "/v1/models", b"", scope_headers
        )
        communicator.scope["client"] = ("203.0.113.77", 1)
        statuses.append((await communicator.get_response())["status"])
    await limits.close()

    assert statuses == [401] * 3 + [429] * 3
    [row] = [row async for row in LimitRefusal.objects.all()]
    assert (row.limit_name, row.ip, row.count) == ("Wrong API keys", "203.0.113.77", 3)
    assert row.organization_id is None


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.0005, "1ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (59.9996, "1m0s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (86_399.5, "23h59m59.5s"),
    ],
)
def test_times_are_written_as_openai_writes_them(seconds: float, written: str) -> None:
    assert rate_limits.duration(seconds) == written.encode()
