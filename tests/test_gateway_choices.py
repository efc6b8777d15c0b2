"""Several answers to one request: side by side, each held and charged, at every vendor."""

import json
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from accounts import keys
from accounts.models import Organization
from billing.models import Budget, Outcome
from gateway.consumers import ChatCompletions
from tests.gateway_edge import Edge
from tests.llm_support import eventually, recorded
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = pytest.mark.usefixtures("transactional_db", "tidy_loop", "no_retries")

CALL = {"id": "call_1", "name": "now", "arguments": '{"zone": "UTC"}'}


async def edge_of(organization: Organization, **body: Any) -> Edge:
    _, secret = await sync_to_async(keys.create)(organization=organization, name="program")
    return Edge(secret, **body)


def chunks_of(edge: Edge) -> list[Any]:
    *events, done = [event for event in edge.body.split(b"\n\n") if event]
    assert done == b"data: [DONE]"
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_whole_answer_has_several_choices(
    acme: Organization, vendor: FakeVendor, kind: str
) -> None:
    vendor.script(Answer(text="One."), Answer(text="Two."), Answer(text="", tool_calls=[CALL]))
    await vendor.aserve(kind=kind)
    edge = await edge_of(acme, n=3)

    await edge.ask(ChatCompletions)

    answer = ChatCompletion.model_validate_json(edge.body)
    rows = await recorded()
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    texts = {choice.message.content for choice in answer.choices}
    assert texts == {"One.", "Two.", None}
    assert any(choice.message.tool_calls for choice in answer.choices)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 30
    assert [row.outcome for row in rows] == [Outcome.SUCCESS] * 3
    headers = dict(next(one["headers"] for one in edge.sent if "headers" in one))
    told = Decimal(headers[b"x-parley-cost-usd"].decode())
    assert told == sum(row.cost_usd or 0 for row in rows) > 0


async def test_a_stream_has_several_choices_one_id_and_one_end(
    acme: Organization, vendor: FakeVendor
) -> None:
    vendor.script(Answer(text="One two."), Answer(text="Three four."))
    await vendor.aserve()
    edge = await edge_of(acme, n=2, stream=True, stream_options={"include_usage": True})

    await edge.ask(ChatCompletions)

    *chunks, last = chunks_of(edge)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    texts = {0: "", 1: ""}
    ends = []
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert chunk["usage"] is None
        [choice] = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content") or ""
        if choice["finish_reason"]:
            ends.append((choice["index"], choice["finish_reason"]))
    assert set(texts.values()) == {"One two.", "Three four."}
    assert sorted(ends) == [(0, "stop"), (1, "stop")]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 30)
    assert last["parley"]["cost_usd"] == "0.00004"


async def test_none_of_them_comes_from_the_cache(acme: Organization, vendor: FakeVendor) -> None:
    await vendor.aserve()

    for _ in range(2):
        await (await edge_of(acme, n=2, temperature=0)).ask(ChatCompletions)

    assert len(vendor.requests) == 4


async def test_each_has_a_seed_of_its_own(acme: Organization, vendor: FakeVendor) -> None:
    await vendor.aserve()

    await (await edge_of(acme, n=3, seed=5)).ask(ChatCompletions)

    assert sorted(request.body["seed"] for request in vendor.requests) == [5, 6, 7]


@pytest.mark.parametrize("stream", [True, False])
async def test_what_fails_in_one_ends_all_and_each_is_settled(
    acme: Organization, vendor: FakeVendor, stream: bool
) -> None:
    gate = Gate()
    vendor.script(Answer(text="One two three", gate=gate, gate_after=1), Answer(status=400))
    await vendor.aserve()
    edge = await edge_of(acme, n=2, stream=stream)

    await edge.ask(ChatCompletions)

    gate.open()
    assert b"[DONE]" not in edge.body
    assert b'"error"' in edge.body
    rows = await recorded()
    assert {row.state for row in rows} == {"settled"}
    assert Outcome.SUCCESS not in {row.outcome for row in rows}


async def test_who_leaves_stops_them_all(acme: Organization, vendor: FakeVendor) -> None:
    gate = Gate()
    vendor.script(Answer(text="One two three", gate=gate, gate_after=1))
    await vendor.aserve()
    edge = await edge_of(acme, n=2, stream=True)

    answer = edge.ask(ChatCompletions)
    await eventually(lambda: edge.body.count(b"One") == 2)
    edge.leave()
    await answer

    await eventually(lambda: vendor.cancelled == 2)
    gate.open()
    rows = await recorded()
    assert [(row.outcome, row.error_class) for row in rows] == [("stopped", "CallerLeft")] * 2


async def test_each_is_held_on_the_budget(acme: Organization, vendor: FakeVendor) -> None:
    await vendor.aserve()  # at most 4,096 tokens at $2 a million each
    await Budget.objects.acreate(organization=acme, name="Tight", limit_usd=Decimal("0.01"))
    edge = await edge_of(acme, n=2)
    alone = await edge_of(acme)

    await edge.ask(ChatCompletions)
    await alone.ask(ChatCompletions)

    assert (edge.status, alone.status) == (402, 200)


@pytest.mark.parametrize(
    ("body", "param"),
    [({"n": 9}, "n"), ({"n": 0}, "n"), ({"n": 2, "logprobs": True}, "logprobs")],
)
async def test_what_cannot_be_is_refused_by_name(
    acme: Organization, vendor: FakeVendor, body: dict[str, Any], param: str
) -> None:
    await vendor.aserve()
    edge = await edge_of(acme, **body)

    await edge.ask(ChatCompletions)

    assert (edge.status, json.loads(edge.body)["error"]["param"]) == (400, param)
    assert vendor.requests == []
