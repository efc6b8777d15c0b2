"""An answer as a validated value."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from core.errors import InvalidRequest
from llm import service
from llm.structured import AnswerInvalid
from llm.types import Call
from tests.llm_support import MARKS, ask, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
GOOD = '{"city": "Oslo", "people": 700000}'


class City(BaseModel):
    city: str
    people: int


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_pydantic_model_comes_back_filled(
    vendor: FakeVendor, call: Call, is_streamed: bool
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=GOOD))

    parsed = await service.parse(ask(stream=is_streamed), City, call)

    assert parsed.value == City(city="Oslo", people=700_000)
    assert len(parsed.finished) == 1
    asked = vendor.requests[0].body["response_format"]
    assert asked["json_schema"]["schema"]["required"] == ["city", "people"]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        '{"city": "Oslo", "people": 700000,}',
        "{'city': 'Oslo', 'people': 700000}",
        '{"city": "Oslo", "people": 700000',
    ],
)
async def test_only_the_form_is_repaired(vendor: FakeVendor, call: Call, text: str) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=text))

    parsed = await service.parse(ask(), SCHEMA, call)

    assert parsed.value == {"city": "Oslo", "people": 700_000}
    assert len(vendor.requests) == 1


async def test_what_does_not_fit_is_asked_for_once_more(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text='{"city": "Oslo", "people": "many"}'), Answer(text=GOOD))

    parsed = await service.parse(ask(), City, call)

    assert parsed.value.people == 700_000
    assert len(parsed.finished) == 2
    *_, answer, correction = vendor.requests[1].body["messages"]
    assert json.loads(answer["content"])["people"] == "many"
    assert "people" in correction["content"]
    assert len(await recorded()) == 2


@pytest.mark.parametrize("text", ["I would rather not.", "", '{"city": "Oslo"}', "[1, 2"])
async def test_an_answer_that_never_fits_is_an_error(
    vendor: FakeVendor, call: Call, text: str
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=text or " "))

    with pytest.raises(AnswerInvalid):
        await service.parse(ask(), SCHEMA, call)

    assert len(vendor.requests) == 2


async def test_a_server_without_schemas_is_made_to_call_a_tool(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(takes_schema=False)
    vendor.script(
        Answer(
            text="",
            tool_calls=[{"id": "c1", "name": "answer", "arguments": GOOD}],
            finish_reason="tool_calls",
        )
    )

    parsed = await service.parse(ask(), City, call)

    assert parsed.value == City(city="Oslo", people=700_000)
    body = vendor.requests[0].body
    assert "response_format" not in body
    assert body["tool_choice"]["function"]["name"] == body["tools"][0]["function"]["name"]


async def test_what_is_no_schema_is_refused_before_anybody_is_asked(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()

    for schema, reason in (
        ({"type": "wish"}, "no JSON schema"),
        ({"pattern": "(?=a)b"}, "look-around"),
    ):
        with pytest.raises(InvalidRequest, match=reason):
            await service.parse(ask(), schema, call)

    assert vendor.requests == []


async def test_a_schema_elsewhere_is_fetched_by_nobody(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=GOOD))

    with pytest.raises(InvalidRequest, match="leads nowhere"):
        await service.parse(ask(), {"$ref": f"{vendor.url}/v1/models"}, call)

    assert len(vendor.requests) == 1  # the question alone
