"""`/v1/chat/completions` and `/v1/models`, as the official client and plain HTTP see them."""

from collections.abc import Iterator
from decimal import Decimal

import openai
import pytest

from billing.models import Outcome, UsageState
from tests.gateway import MESSAGES, Program, frames, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def test_the_official_client_gets_an_answer(caller: Program) -> None:
    answer = caller.openai.chat.completions.create(model=caller.model, messages=MESSAGES)

    assert answer.choices[0].message.content == "Hello from the vendor, friend."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 5)


def test_an_answer_is_in_the_books_when_it_arrives(caller: Program) -> None:
    response = caller.post()

    row = record()
    assert (row.state, row.outcome, row.surface) == (UsageState.SETTLED, Outcome.SUCCESS, "api")
    assert row.cost_usd == Decimal("0.00002")  # 10 in at $1, 5 out at $2, a million
    assert row.model_asked == caller.model
    assert response.headers["x-parley-usage-id"] == str(row.id)
    assert response.headers["x-parley-cost-usd"] == "0.00002"
    assert response.headers["x-parley-model"] == "vendor-model"
    assert response.headers["x-parley-provider"] == "vendor"
    assert response.headers["x-parley-cache"] == "miss"


def test_the_official_client_gets_a_stream_with_usage(caller: Program) -> None:
    with caller.openai.chat.completions.create(
        model=caller.model,
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        *chunks, last = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "Hello from the vendor, friend."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert len({chunk.id for chunk in [*chunks, last]}) == 1
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 15


def test_a_stream_has_no_usage_that_was_not_asked_for(caller: Program) -> None:
    response = caller.post(stream=True)

    *chunks, done = frames(response)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert done == "[DONE]"
    assert all(chunk["choices"] for chunk in chunks)
    assert record().state == UsageState.SETTLED


def test_tool_calls_arrive(caller: Program) -> None:
    call = {"id": "call_1", "name": "now", "arguments": '{"zone": "UTC"}'}
    caller.vendor.script(Answer(text="", tool_calls=[call], finish_reason="tool_calls"))

    answer = caller.openai.chat.completions.create(
        model=caller.model,
        messages=MESSAGES,
        tools=[{"type": "function", "function": {"name": "now", "parameters": {}}}],
    )

    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].id == "call_1"
    assert caller.vendor.requests[0].body["tools"][0]["function"]["name"] == "now"


def test_parameters_of_openai_reach_the_vendor(caller: Program) -> None:
    caller.post(max_completion_tokens=7, temperature=0.5, reasoning_effort="low", user="ada")

    body = caller.vendor.requests[0].body
    assert (body["temperature"], body["reasoning_effort"], body["user"]) == (0.5, "low", "ada")
    assert 7 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_the_cache_says_so_and_how_old_the_answer_is(caller: Program) -> None:
    first = caller.post(temperature=0)
    second = caller.post(temperature=0)

    assert (first.headers["x-parley-cache"], "age" in first.headers) == ("miss", False)
    assert (second.headers["x-parley-cache"], second.headers["age"]) == ("hit", "0")
    assert second.headers["x-parley-cost-usd"] == "0"
    assert second.json()["choices"] == first.json()["choices"]
    assert len(caller.vendor.requests) == 1


def test_no_cache_asks_the_model_again(caller: Program) -> None:
    caller.post(temperature=0)
    caller.http.headers["Cache-Control"] = "no-cache"

    again = caller.post(temperature=0)

    assert again.headers["x-parley-cache"] == "miss"
    assert len(caller.vendor.requests) == 2


def test_models_are_listed_and_found(caller: Program) -> None:
    names = [model.id for model in caller.openai.models.list()]
    found = caller.openai.models.retrieve(caller.model)

    assert caller.model in names
    assert (found.id, found.object, found.owned_by) == (caller.model, "model", "vendor")


def test_a_model_that_is_not_there_is_404(caller: Program) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        caller.openai.models.retrieve("nobody/has-this")

    assert caught.value.code == "model_not_found"
