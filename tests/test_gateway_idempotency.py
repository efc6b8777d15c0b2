"""`Idempotency-Key`: a request that is repeated is made, and charged, once."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from accounts import keys
from billing.models import Outcome, UsageRecord
from tests.gateway import MESSAGES, Program, eventually, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor, Gate

WORDS = "One two three four five six."


@pytest.fixture
def parley(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    vendor.script(Answer(text=WORDS))
    with program(site, vendor) as running:
        yield running


def new_key() -> str:
    return uuid.uuid4().hex


def ask(parley: Program, key: str, *, last: str = "", **parameters: Any) -> httpx2.Response:
    """Ask for a completion under a key; `last` is the event that was seen last."""
    headers = {"Idempotency-Key": key} | ({"Last-Event-ID": last} if last else {})
    asked = {"model": parley.model, "messages": MESSAGES, **parameters}
    return parley.http.post("/chat/completions", json=asked, headers=headers)


def error(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def events(text: str) -> list[tuple[str, str]]:
    """Return the number and the data of each event of a stream."""
    found = []
    for event in filter(None, text.split("\n\n")):
        number, _, data = event.partition("\n")
        assert number.startswith("id: ")
        found.append((number.removeprefix("id: "), data))
    return found


def said(text: str) -> str:
    """Return what a stream says."""
    chunks = [data.removeprefix("data: ") for _, data in events(text) if data.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in json.loads(chunk)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeated_request_is_answered_from_what_is_kept(parley: Program, stream: bool) -> None:
    key = new_key()

    first = ask(parley, key, stream=stream)
    second = ask(parley, key, stream=stream)

    assert first.status_code == second.status_code == 200
    assert WORDS in (said(first.text) if stream else first.text)
    assert second.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["x-parley-usage-id"] == first.headers["x-parley-usage-id"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(parley.vendor.requests) == 1
    assert record().outcome == Outcome.SUCCESS


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("/messages", {"messages": MESSAGES, "max_tokens": 50, "stream": True}),
        ("/messages", {"messages": MESSAGES, "max_tokens": 50}),
        ("/responses", {"input": "Hello", "stream": True}),
        ("/responses", {"input": "Hello"}),
        ("/embeddings", {"input": "Hello"}),
    ],
)
def test_every_address_that_asks_a_model_heeds_the_key(
    parley: Program, address: str, asked: dict[str, Any]
) -> None:
    asked = {"model": parley.model, **asked}
    headers = {"Idempotency-Key": new_key()}

    first, second = (parley.http.post(address, json=asked, headers=headers) for _ in range(2))

    assert first.status_code == second.status_code == 200
    assert second.content == first.content
    assert (b"\nevent: " in first.content) == bool(asked.get("stream"))
    assert second.headers["idempotency-replayed"] == "true"
    assert len(parley.vendor.requests) == 1
    assert record().outcome == Outcome.SUCCESS


def test_a_key_at_another_address_is_another_key(parley: Program) -> None:
    headers = {"Idempotency-Key": new_key()}
    asked = {"model": parley.model, "messages": MESSAGES, "max_tokens": 50}

    answers = [
        parley.http.post(address, json=asked, headers=headers)
        for address in ("/chat/completions", "/messages")
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(parley.vendor.requests) == 2


def test_without_a_key_events_have_no_numbers_and_requests_are_made_anew(parley: Program) -> None:
    answers = [parley.post(stream=True) for _ in range(2)]

    assert all("id: " not in answer.text for answer in answers)
    assert len(parley.vendor.requests) == 2


def test_who_repeats_a_running_request_hears_it_from_its_beginning(parley: Program) -> None:
    gate = Gate()
    parley.vendor.script(Answer(text=WORDS, gate=gate, gate_after=3))
    key = new_key()

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, parley, key, stream=True) for _ in range(3)]
        eventually(lambda: len(parley.vendor.requests) == 1)
        gate.open()
        answers = [one.result() for one in asking]

    assert {said(answer.text) for answer in answers} == {WORDS}
    assert len({answer.content for answer in answers}) == 1
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [
        False,
        True,
        True,
    ]
    assert len(parley.vendor.requests) == UsageRecord.objects.count() == 1


def test_a_stream_that_was_cut_is_resumed_after_the_last_event(parley: Program) -> None:
    gate = Gate()
    parley.vendor.script(Answer(text=WORDS, gate=gate, gate_after=3))
    key = new_key()
    asked = {"model": parley.model, "messages": MESSAGES, "stream": True}
    heard = ""
    headers = {"Idempotency-Key": key}
    with parley.http.stream("POST", "/chat/completions", json=asked, headers=headers) as cut:
        for piece in cut.iter_text():
            heard += piece
            if "three" in heard:
                break
    heard = heard[: heard.rindex("\n\n") + 2]
    last, _ = events(heard)[-1]
    gate.open()

    rest = ask(parley, key, last=last, stream=True)
    whole = ask(parley, key, stream=True)

    assert said(heard + rest.text) == WORDS
    assert heard + rest.text == whole.text
    assert [number for number, _ in events(whole.text)] == [
        str(number) for number in range(1, len(events(whole.text)) + 1)
    ]
    assert len(parley.vendor.requests) == 1
    assert record().outcome == Outcome.SUCCESS


def test_an_answer_without_events_is_answered_whole_whatever_was_seen_of_it(
    parley: Program,
) -> None:
    key = new_key()
    first = ask(parley, key)

    assert ask(parley, key, last="1").content == first.content
    assert ask(parley, key, last="999999999").content == first.content


def test_a_get_with_the_key_resumes_without_the_body(parley: Program) -> None:
    key = new_key()
    first = ask(parley, key, stream=True)

    headers = {"Idempotency-Key": key, "Last-Event-ID": "2"}
    rest = parley.http.get("/chat/completions", headers=headers)

    assert events(rest.text) == events(first.text)[2:]
    assert len(parley.vendor.requests) == 1


def test_a_client_that_leaves_finds_the_whole_answer_when_it_comes_back(parley: Program) -> None:
    gate = Gate()
    parley.vendor.script(Answer(text=WORDS, gate=gate))
    key = new_key()
    with parley.connection(f"Idempotency-Key: {key}"):
        eventually(lambda: len(parley.vendor.requests) == 1)
    gate.open()

    answer = ask(parley, key)

    assert answer.json()["choices"][0]["message"]["content"] == WORDS
    assert len(parley.vendor.requests) == 1
    assert parley.vendor.cancelled == 0
    assert record().outcome == Outcome.SUCCESS


def test_the_official_client_repeats_a_request_under_its_key(parley: Program) -> None:
    headers = {"Idempotency-Key": new_key()}
    create = parley.openai.chat.completions.create

    whole = [create(model=parley.model, messages=MESSAGES, extra_headers=headers) for _ in range(2)]
    headers = {"Idempotency-Key": new_key()}
    streams = [
        list(create(model=parley.model, messages=MESSAGES, stream=True, extra_headers=headers))
        for _ in range(2)
    ]

    assert whole[0] == whole[1]
    assert streams[0] == streams[1]
    assert len(parley.vendor.requests) == 2


def test_the_key_belongs_to_its_body_whatever_the_order_of_the_fields(parley: Program) -> None:
    key = new_key()
    ask(parley, key, temperature=0)
    turned = {"messages": MESSAGES, "temperature": 0, "model": parley.model}

    same = parley.http.post("/chat/completions", json=turned, headers={"Idempotency-Key": key})
    other = ask(parley, key, temperature=1)

    assert same.headers["idempotency-replayed"] == "true"
    assert error(other) == (422, "idempotency_key_reused")
    assert len(parley.vendor.requests) == 1


def test_a_key_of_another_program_is_another_key(parley: Program) -> None:
    key = new_key()
    ask(parley, key)
    _, secret = keys.create(organization=parley.site.organization, name="Other")

    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {secret}"}
    asked = {"model": parley.model, "messages": MESSAGES}
    other = parley.http.post("/chat/completions", json=asked, headers=headers)

    assert "idempotency-replayed" not in other.headers
    assert len(parley.vendor.requests) == 2


@pytest.mark.parametrize(
    "make_it_fail",
    [
        lambda parley: parley.vendor.script(Answer(status=400), Answer(text=WORDS)),
        lambda parley: None,
    ],
    ids=["the vendor's", "ours"],
)
def test_a_refusal_is_not_kept(parley: Program, make_it_fail: Callable[[Program], None]) -> None:
    make_it_fail(parley)
    key = new_key()
    is_ours = not len(parley.vendor._script) > 1

    failed = ask(parley, key, **({"temperature": "warm"} if is_ours else {}))
    answer = ask(parley, key)

    assert failed.status_code == 400
    assert answer.json()["choices"][0]["message"]["content"] == WORDS
    assert "idempotency-replayed" not in answer.headers


def test_a_stream_that_broke_after_its_start_is_kept_as_it_is(parley: Program) -> None:
    parley.vendor.script(Answer(text=WORDS, fault="close", after=3), Answer(text=WORDS))
    key = new_key()

    first = ask(parley, key, stream=True)
    second = ask(parley, key, stream=True)

    assert '"error"' in first.text
    assert second.text == first.text
    assert len(parley.vendor.requests) == 1


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"Idempotency-Key": "x" * 256}, "Idempotency-Key"),
        ({"Idempotency-Key": "naïve".encode("latin-1")}, "Idempotency-Key"),
        ({"Idempotency-Key": "a", "Last-Event-ID": "first"}, "Last-Event-ID"),
        ({"Last-Event-ID": "3"}, "Idempotency-Key"),
    ],
)
def test_what_is_wrong_is_named(parley: Program, headers: Any, param: str) -> None:
    asked = {"model": parley.model, "messages": MESSAGES}

    refused = parley.http.post("/chat/completions", json=asked, headers=headers)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert parley.vendor.requests == []


def test_nothing_is_resumed_where_nothing_is_kept(parley: Program) -> None:
    asked = ask(parley, new_key(), last="3", stream=True)
    got = parley.http.get("/chat/completions", headers={"Idempotency-Key": new_key()})
    without_key = parley.http.get("/chat/completions")

    assert error(asked) == error(got) == (404, "idempotency_key_unknown")
    assert error(without_key) == (405, "method_not_allowed")
    assert parley.vendor.requests == []
