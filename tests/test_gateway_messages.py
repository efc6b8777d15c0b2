"""`/v1/messages` as the official client sees it, in one piece, whoever the vendor is."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Outcome, UsageRecord, UsageState
from tests.gateway import record
from tests.messages_support import BERN, HELLO, ROME, WEATHER, AnthropicProgram, anthropic_program
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes

KINDS = ("openai", "anthropic")


@pytest.fixture(params=KINDS)
def caller(
    request: pytest.FixtureRequest, site: Site, vendor: FakeVendor
) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, request.param) as running:
        yield running


@pytest.fixture
def at_openai(site: Site, vendor: FakeVendor) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, "openai") as running:
        yield running


@pytest.fixture
def at_anthropic(site: Site, vendor: FakeVendor) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, "anthropic") as running:
        yield running


def test_the_official_client_gets_an_answer_that_is_in_the_books(caller: AnthropicProgram) -> None:
    message = caller.create()

    row = record()
    assert message.id == f"msg_{row.id.hex}"
    assert (message.type, message.role, message.model) == ("message", "assistant", "vendor-model")
    assert [block.to_dict() for block in message.content] == [
        {"type": "text", "text": "Hello from the vendor, friend."}
    ]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 5)
    assert (row.state, row.outcome, row.surface) == (UsageState.SETTLED, Outcome.SUCCESS, "api")
    assert (row.input_tokens, row.output_tokens) == (10, 5)
    assert row.cost_usd == Decimal("0.00002")


def test_the_headers_say_who_answered_and_what_it_cost(caller: AnthropicProgram) -> None:
    response = caller.post()

    headers = response.headers
    assert headers["request-id"] == headers["x-request-id"]
    assert headers["x-parley-usage-id"] == str(record().id)
    assert headers["x-parley-cost-usd"] == "0.00002"
    assert (headers["x-parley-provider"], headers["x-parley-cache"]) == ("vendor", "miss")


def test_either_header_may_bring_the_key(caller: AnthropicProgram) -> None:
    asked = {"model": caller.model, "max_tokens": 5, "messages": HELLO}
    key = caller.site.api_key
    bearer = {"x-api-key": "", "Authorization": f"Bearer {key}", "anthropic-beta": "something"}

    assert caller.http.post("/messages?beta=true", json=asked, headers=bearer).status_code == 200
    assert caller.post().status_code == 200


def test_the_figures_of_the_vendors_cache_are_no_part_of_the_input(
    at_openai: AnthropicProgram,
) -> None:
    details = {"cached_tokens": 6}
    thought = {"reasoning_tokens": 2}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    at_openai.vendor.script(
        Answer(
            usage={**usage, "prompt_tokens_details": details, "completion_tokens_details": thought}
        )
    )

    usage = at_openai.create().usage

    assert (usage.input_tokens, usage.cache_read_input_tokens) == (4, 6)
    assert (usage.cache_creation_input_tokens, usage.output_tokens) == (0, 5)
    assert usage.output_tokens_details.thinking_tokens == 2


def test_what_anthropic_wrote_to_its_cache_is_told(at_anthropic: AnthropicProgram) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    cache = {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 3}
    at_anthropic.vendor.script(Answer(usage={**usage, **cache}))

    usage = at_anthropic.create().usage

    assert (usage.input_tokens, usage.cache_read_input_tokens) == (10, 7)
    assert usage.cache_creation_input_tokens == 3


def test_tools_there_and_back(caller: AnthropicProgram) -> None:
    caller.vendor.script(
        Answer(text="I look.", tool_calls=(BERN, ROME), finish_reason="tool_calls"), Answer()
    )
    answer = caller.create(tools=[WEATHER], tool_choice={"type": "any"})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"Sun in {block.input['city']}"}
        for block in answer.content
        if block.type == "tool_use"
    ]

    again = caller.create(
        tools=[WEATHER],
        messages=[
            *HELLO,
            answer.to_param(),
            {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]},
        ],
    )

    assert answer.stop_reason == "tool_use"
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
    assert answer.content[1].input == {"city": "Bern"}
    assert again.stop_reason == "end_turn"
    first, second = (request.body for request in caller.vendor.requests)
    assert first["tool_choice"] in ("required", {"type": "any"})
    assert [text for text in ("Sun in Bern", "Sun in Rome", "And now?") if text in str(second)] == [
        "Sun in Bern",
        "Sun in Rome",
        "And now?",
    ]


STOPS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"finish_reason": "stop_sequence", "stop_sequence": "END"}, "stop_sequence", "END"),
    ({"finish_reason": "length"}, "max_tokens", None),
    ({"finish_reason": "refusal"}, "refusal", None),
]


@pytest.mark.parametrize(("said", "reason", "sequence"), STOPS)
def test_why_an_answer_ended(
    at_anthropic: AnthropicProgram, said: dict[str, Any], reason: str, sequence: str | None
) -> None:
    at_anthropic.vendor.script(Answer(**said))

    whole = at_anthropic.create(stop_sequences=["END"])
    with at_anthropic.stream(stop_sequences=["END"]) as stream:
        streamed = stream.get_final_message()

    for message in (whole, streamed):
        assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


def test_arguments_that_are_no_json_are_handed_over_as_they_are(
    at_openai: AnthropicProgram,
) -> None:
    broken = {"id": "call-1", "name": "weather", "arguments": '{"city": '}
    at_openai.vendor.script(Answer(text="", tool_calls=(broken,), finish_reason="tool_calls"))

    [use] = at_openai.create(tools=[WEATHER]).content

    assert use.input == {"INVALID_JSON": '{"city": '}


def test_tokens_are_counted_for_nothing(caller: AnthropicProgram) -> None:
    count = caller.anthropic.messages.count_tokens

    little = count(model=caller.model, messages=HELLO)
    more = count(
        model=caller.model,
        system="Be brief. Be brief. Be brief.",
        messages=[{"role": "user", "content": "Hello, how many tokens are these words?"}],
        tools=[WEATHER],
        thinking={"type": "adaptive"},
    )

    assert 0 < little.input_tokens < 15
    assert more.input_tokens > little.input_tokens + 20
    assert caller.vendor.requests == []
    assert not UsageRecord.objects.exists()
