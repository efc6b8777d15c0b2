"""The cache as programs see and steer it: headers in, headers out, both forms of an answer."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from core.errors import InvalidRequest
from gateway import cache_control
from llm.types import CacheWish
from tests.gateway import Program, frames, program
from tests.servers import Site
from tests.vendor import Answer, FakeVendor


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def post(caller: Program, headers: dict[str, str] | None = None, **more: Any) -> httpx2.Response:
    asked = {"model": caller.model, "messages": [{"role": "user", "content": "Hello"}], **more}
    return caller.http.post("/chat/completions", json={"temperature": 0, **asked}, headers=headers)


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, CacheWish()),
        ({"cache-control": "no-cache"}, CacheWish(mode="write")),
        ({"cache-control": "no-store"}, CacheWish(mode="off")),
        ({"cache-control": "No-Cache, no-store"}, CacheWish(mode="off")),
        ({"cache-control": "max-age=60"}, CacheWish(max_age=60)),
        ({"cache-control": 'x, max-age="5" ,y=1'}, CacheWish(max_age=5)),
        ({"cache-control": "max-age=soon"}, CacheWish(max_age=0)),
        ({"cache-control": "only-if-cached"}, CacheWish(only_if_cached=True)),
        ({"cache-control": "max-stale=1, no-transform"}, CacheWish()),
        ({"x-parley-cache": "READ"}, CacheWish(mode="read")),
        ({"x-parley-cache": "on"}, CacheWish()),
        ({"x-parley-cache": "off"}, CacheWish(mode="off")),
        ({"x-parley-cache": "read", "cache-control": "no-cache"}, CacheWish(mode="off")),
        ({"x-parley-cache": "on", "cache-control": "no-store"}, CacheWish(mode="off")),
        ({"x-parley-cache-ttl": "90"}, CacheWish(seconds=90)),
        ({"x-parley-cache-ttl": "9" * 40}, CacheWish(seconds=2**31)),
    ],
)
def test_headers_say_what_a_program_wants(headers: dict[str, str], wish: CacheWish) -> None:
    assert cache_control.wish_of(lambda name: headers.get(name.decode(), "")) == wish


@pytest.mark.parametrize("control", ["-" * 60_000 + "!", "a " * 30_000, "max-age=" + "9" * 60_000])
def test_a_header_made_to_be_slow_is_read_at_once(control: str) -> None:
    headers = {"cache-control": control, "x-parley-cache-ttl": "9" * 60_000}
    began = time.process_time()

    wish = cache_control.wish_of(lambda name: headers.get(name.decode(), ""))

    assert wish.seconds == cache_control.LONGEST
    assert wish.max_age in (None, cache_control.LONGEST)
    assert time.process_time() - began < 5  # going back for each character would take minutes


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-parley-cache", "maybe"),
        ("x-parley-cache-ttl", "-1"),
        ("x-parley-cache-ttl", "soon"),
        ("x-parley-cache-ttl", "1.5"),
        ("x-parley-cache-ttl", "²"),
    ],
)
def test_a_header_of_ours_that_cannot_be_read_is_refused(header: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        cache_control.wish_of(lambda name: value if name.decode() == header else "")

    assert str(refused.value.param).lower() == header


@pytest.mark.processes
def test_a_program_sees_where_an_answer_came_from(caller: Program) -> None:
    first = post(caller)
    second = post(caller)
    third = post(caller, {"cache-control": "no-cache"})

    results = [one.headers["x-parley-cache"] for one in (first, second, third)]
    assert results == ["miss", "hit", "miss"]
    assert "age" not in first.headers
    assert second.headers["age"] == "0"
    assert second.headers["x-parley-cost-usd"] == "0"
    assert len(caller.vendor.requests) == 2


@pytest.mark.processes
def test_rather_no_answer_than_a_new_one(caller: Program) -> None:
    refused = post(caller, {"cache-control": "only-if-cached"})

    assert refused.status_code == 504
    assert refused.json()["error"]["code"] == "not_cached"
    assert caller.vendor.requests == []


@pytest.mark.processes
@pytest.mark.parametrize("first", [True, False])
def test_a_stream_and_a_whole_answer_share_an_entry(caller: Program, first: bool) -> None:
    made = {first: post(caller, stream=first)}
    made[not first] = post(caller, stream=not first)

    assert len(caller.vendor.requests) == 1
    events = frames(made[True])
    assert events[-1] == "[DONE]"
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    whole = made[False].json()
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["message"]["content"] == text == Answer().text
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == 5
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.processes
def test_a_stream_from_the_cache_tells_its_usage(caller: Program) -> None:
    for _ in range(2):
        events = frames(post(caller, stream=True, stream_options={"include_usage": True}))
        assert events[-2]["usage"]["completion_tokens"] == 5
