"""`/v1/responses` as the official client and plain HTTP see it, in one piece."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from accounts import keys
from billing.models import Outcome, UsageState
from prompts import services
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.releases import services as releases
from tests.gateway import Program, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes

PICTURE = "data:image/png;base64,iVBORw0KGgo="
NOW: Any = {
    "type": "function",
    "name": "now",
    "description": "The time somewhere.",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    "strict": False,
}
CALL = {"id": "call_1", "name": "now", "arguments": '{"zone": "UTC"}'}


class Meeting(BaseModel):
    title: str
    people: list[str]


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def messages(caller: Program) -> Any:
    """Return what the vendor was asked last."""
    return caller.vendor.requests[-1].body["messages"]


def test_a_string_is_answered(caller: Program) -> None:
    answer = caller.openai.responses.create(model=caller.model, input="Hello")

    assert answer.output_text == "Hello from the vendor, friend."
    assert (answer.status, answer.object, answer.error) == ("completed", "response", None)
    assert answer.id.startswith("resp_")
    assert answer.model == "vendor-model"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 5)
    assert answer.usage.total_tokens == 15
    assert messages(caller) == [{"role": "user", "content": "Hello"}]


def test_every_field_of_an_answer_has_the_type_that_the_client_expects(caller: Program) -> None:
    caller.vendor.script(Answer(tool_calls=[CALL], finish_reason="tool_calls"))

    answer = caller.openai.responses.create(
        model=caller.model, input="Hello", tools=[NOW], reasoning={"effort": "low"}
    )

    read_again = type(answer).model_validate_json(answer.model_dump_json(warnings="error"))
    assert read_again.model_dump() == answer.model_dump()


def test_an_answer_is_in_the_books_when_it_arrives(caller: Program) -> None:
    response = caller.http.post("/responses", json={"model": caller.model, "input": "Hello"})

    row = record()
    assert (row.state, row.outcome, row.surface) == (UsageState.SETTLED, Outcome.SUCCESS, "api")
    assert row.cost_usd == Decimal("0.00002")  # 10 in at $1, 5 out at $2, a million
    assert response.headers["x-parley-usage-id"] == str(row.id)
    assert response.headers["x-parley-cost-usd"] == "0.00002"
    assert response.headers["x-parley-model"] == "vendor-model"
    assert response.headers["x-parley-provider"] == "vendor"
    assert response.json()["id"] == f"resp_{row.id.hex}"


def test_pictures_reach_the_model(caller: Program) -> None:
    caller.openai.responses.create(
        model=caller.model,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                ],
            }
        ],
    )

    text, picture = messages(caller)[0]["content"]
    assert text == {"type": "text", "text": "What is this?"}
    assert picture == {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}}


def test_tools_go_there_and_back(caller: Program) -> None:
    caller.vendor.script(
        Answer(text="Let me see.", tool_calls=[CALL], finish_reason="tool_calls"),
        Answer(text="It is noon."),
    )
    asked: list[Any] = [{"role": "user", "content": "How late is it?"}]

    first = caller.openai.responses.create(model=caller.model, input=asked, tools=[NOW])
    said, call = first.output
    assert (said.type, call.type) == ("message", "function_call")
    assert call.type == "function_call"
    assert (call.call_id, call.name) == ("call_1", "now")
    assert json.loads(call.arguments) == {"zone": "UTC"}
    asked += first.output
    asked.append({"type": "function_call_output", "call_id": call.call_id, "output": "12:00"})
    second = caller.openai.responses.create(model=caller.model, input=asked, tools=[NOW])

    assert second.output_text == "It is noon."
    assert caller.vendor.requests[0].body["tools"][0]["function"]["name"] == "now"
    _, assistant, tool = messages(caller)
    assert assistant["content"] == "Let me see."
    assert assistant["tool_calls"][0]["id"] == "call_1"
    assert tool == {"role": "tool", "content": "12:00", "tool_call_id": "call_1"}


def test_parse_gives_an_object(caller: Program) -> None:
    caller.vendor.script(Answer(text='{"title": "Tea", "people": ["Ada", "Alan"]}'))

    answer = caller.openai.responses.parse(
        model=caller.model, input="A meeting, please.", text_format=Meeting
    )

    assert answer.output_parsed == Meeting(title="Tea", people=["Ada", "Alan"])
    wanted = caller.vendor.requests[0].body["response_format"]
    assert (wanted["type"], wanted["json_schema"]["name"]) == ("json_schema", "Meeting")
    assert wanted["json_schema"]["strict"] is True


def test_parameters_reach_the_vendor(caller: Program) -> None:
    caller.openai.responses.create(
        model=caller.model,
        input="Hello",
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        user="ada",
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_object"}},
        parallel_tool_calls=False,
        prompt_cache_key="k",
        safety_identifier="s",
        service_tier="default",
        tools=[NOW],
        tool_choice={"type": "function", "name": "now"},
    )

    body = caller.vendor.requests[0].body
    assert 7 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert (body["temperature"], body["top_p"], body["user"]) == (0.5, 0.9, "ada")
    assert (body["reasoning_effort"], body["verbosity"]) == ("low", "low")
    assert body["response_format"] == {"type": "json_object"}
    assert body["parallel_tool_calls"] is False
    assert (body["prompt_cache_key"], body["safety_identifier"]) == ("k", "s")
    assert body["service_tier"] == "default"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "now"}}


def test_an_answer_repeats_what_was_asked(caller: Program) -> None:
    answer = caller.openai.responses.create(
        model=caller.model,
        input="Hello",
        instructions="Be short.",
        metadata={"order": "7"},
        temperature=0.5,
        store=False,
        tools=[NOW],
    )

    assert (answer.instructions, answer.metadata) == ("Be short.", {"order": "7"})
    assert (answer.temperature, answer.truncation) == (0.5, "disabled")
    assert (answer.tool_choice, answer.tools[0].to_dict()) == ("auto", NOW)
    assert answer.to_dict()["store"] is False
    assert "metadata" not in caller.vendor.requests[0].body  # it is the caller's own


@pytest.mark.parametrize(
    ("finish_reason", "why"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_that_was_cut_off_is_incomplete(
    caller: Program, finish_reason: str, why: str
) -> None:
    caller.vendor.script(Answer(finish_reason=finish_reason))

    answer = caller.openai.responses.create(model=caller.model, input="Hello")

    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == why
    assert answer.output[0].to_dict()["status"] == "incomplete"
    assert answer.output_text == "Hello from the vendor, friend."


def test_logprobs_are_read_where_the_vendor_has_them(caller: Program) -> None:
    token = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
    content = [{**token, "top_logprobs": [token]}]
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    body = {"id": "1", "choices": [{**choice, "logprobs": {"content": content}}]}
    caller.vendor.script(Answer(body=json.dumps(body).encode()))

    answer = caller.openai.responses.create(
        model=caller.model,
        input="Hello",
        include=["message.output_text.logprobs"],
        top_logprobs=1,
    )

    assert answer.output[0].to_dict()["content"][0]["logprobs"] == content  # type: ignore[index]
    asked = caller.vendor.requests[0].body
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 1)


def test_a_kept_answer_is_the_same_answer(caller: Program) -> None:
    asked = {"model": caller.model, "input": "Hello", "temperature": 0}
    first = caller.http.post("/responses", json=asked)
    second = caller.http.post("/responses", json=asked)
    chat = caller.post(temperature=0)

    assert (first.headers["x-parley-cache"], second.headers["x-parley-cache"]) == ("miss", "hit")
    assert second.json()["output"][0]["content"] == first.json()["output"][0]["content"]
    assert chat.headers["x-parley-cache"] == "hit"  # the same question in another form
    assert len(caller.vendor.requests) == 1


def test_what_nobody_serves_is_not_found(caller: Program) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        caller.openai.responses.create(model="nobody-has-this", input="Hello")

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_vendor_that_refuses_is_an_error_with_its_status(caller: Program) -> None:
    caller.vendor.script(Answer(status=400, error={"message": "No.", "code": "bad"}))

    with pytest.raises(openai.BadRequestError) as caught:
        caller.openai.responses.create(model=caller.model, input="Hello")

    assert caught.value.code == "invalid_request"


def test_a_prompt_of_parley_comes_before_the_callers_words(caller: Program) -> None:
    prompt = services.create_prompt(organization=caller.site.organization, name="greeting")
    content = PromptContent(
        messages=(MessageTemplate(role="system", template="Greet {{ name }}."),),
        variables=(Variable(name="name"),),
        settings=ModelSettings(temperature=0.2, max_tokens=50),
    )
    version = services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number, name="production")
    wish = {"name": "greeting", "variables": {"name": "Ada"}}

    caller.openai.responses.create(
        model=caller.model,
        instructions="Be short.",
        input="Hello",
        extra_body={"parley": {"prompt": wish, "tags": ["team:search"]}},
    )

    body = caller.vendor.requests[0].body
    assert [message["content"] for message in body["messages"]] == [
        *("Greet Ada.", "Be short.", "Hello"),
    ]
    assert body["temperature"] == 0.2
    row = record()
    assert (row.prompt_name, row.prompt_version, row.tags) == ("greeting", 1, ["team:search"])


def test_a_key_that_may_not_chat_is_refused(caller: Program) -> None:
    organization = caller.site.organization
    _, secret = keys.create(organization=organization, name="Models only", scopes=["models"])

    response = caller.http.post(
        "/responses",
        json={"model": caller.model, "input": "Hello"},
        headers={"Authorization": f"Bearer {secret}"},
    )

    assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")
    assert caller.vendor.requests == []
