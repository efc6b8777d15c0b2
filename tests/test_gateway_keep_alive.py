"""Streams whose model thinks for long: no proxy takes them for dead, and clients see no change."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from accounts import keys
from accounts.models import Organization
from gateway.consumers import ChatCompletions
from tests.gateway_edge import Edge
from tests.vendor import Answer, FakeVendor, Gate

COMMENT = b": keep-alive\n\n"
TEXT = "one two three"

pytestmark = pytest.mark.usefixtures("transactional_db", "tidy_loop", "no_retries")


@pytest.fixture
def impatient(settings: Any) -> None:
    """Let a moment of silence be a long one."""
    settings.KEEP_ALIVE_SECONDS = 0.005


async def edge_of(organization: Organization, **body: Any) -> Edge:
    _, secret = await sync_to_async(keys.create)(organization=organization, name="program")
    return Edge(secret, **body)


def said(edge: Edge) -> str:
    events = [event for event in edge.body.split(b"\n\n") if event and event[:1] != b":"]
    assert events[-1] == b"data: [DONE]"
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


@pytest.mark.usefixtures("impatient")
async def test_comments_are_sent_while_a_model_is_silent(
    acme: Organization, vendor: FakeVendor
) -> None:
    gate = Gate()
    vendor.script(Answer(text=TEXT, gate=gate, gate_after=2))
    await vendor.aserve()
    edge = await edge_of(acme, stream=True)

    answer = edge.ask(ChatCompletions)
    await edge.until(b"two")
    await edge.until(COMMENT * 2)
    gate.open()
    await answer

    assert said(edge) == TEXT
    assert edge.is_complete


@pytest.mark.usefixtures("impatient")
async def test_a_stream_begins_without_its_first_word_where_that_is_long_in_coming(
    acme: Organization, vendor: FakeVendor
) -> None:
    gate = Gate()
    vendor.script(Answer(text=TEXT, gate=gate))
    await vendor.aserve()
    edge = await edge_of(acme, stream=True)

    answer = edge.ask(ChatCompletions)
    await edge.until(COMMENT)
    assert edge.status == 200
    gate.open()
    await answer

    assert said(edge) == TEXT
    assert [message["type"] for message in edge.sent].count("http.response.start") == 1


@pytest.mark.usefixtures("impatient")
async def test_what_fails_after_that_is_an_error_event(
    acme: Organization, vendor: FakeVendor
) -> None:
    gate = Gate()
    vendor.script(Answer(text=TEXT, gate=gate, fault="error", after=0))
    await vendor.aserve()
    edge = await edge_of(acme, stream=True)

    answer = edge.ask(ChatCompletions)
    await edge.until(COMMENT)
    gate.open()
    await answer

    *_, last = [event for event in edge.body.split(b"\n\n") if event]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"].startswith("provider_")
    assert edge.is_complete


async def test_what_fails_before_that_is_a_plain_answer(
    acme: Organization, vendor: FakeVendor
) -> None:
    vendor.script(Answer(status=400, error={"message": "no"}))
    await vendor.aserve()
    edge = await edge_of(acme, stream=True)

    await edge.ask(ChatCompletions)

    assert edge.status == 400
    assert json.loads(edge.body)["error"]["code"] == "invalid_request"


@pytest.mark.usefixtures("impatient")
async def test_a_whole_answer_has_no_comments(acme: Organization, vendor: FakeVendor) -> None:
    vendor.script(Answer(text=TEXT, pause=0.05))
    await vendor.aserve()
    edge = await edge_of(acme)

    await edge.ask(ChatCompletions)

    assert json.loads(edge.body)["choices"][0]["message"]["content"] == TEXT


@pytest.mark.usefixtures("impatient")
async def test_nothing_goes_on_when_the_answer_is_over(
    acme: Organization, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    edge = await edge_of(acme, stream=True)
    await edge.ask(ChatCompletions)
    sent = len(edge.sent)

    other = await edge_of(acme, stream=True)
    gate = Gate()
    vendor.script(Answer(text=TEXT, gate=gate, gate_after=2))
    answer = other.ask(ChatCompletions)
    await other.until(COMMENT * 3)  # as long as the first would have needed
    gate.open()
    await answer

    assert len(edge.sent) == sent
