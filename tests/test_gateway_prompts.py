"""The key `parley` of a body: prompts by name, the cache, tags, tasks and who may answer."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from accounts.models import Organization
from accounts.principal import Principal
from billing.models import UsageRecord
from gateway.extensions import PromptWish
from llm.types import FunctionDefinition, Tool
from prompts import services
from prompts.content import (
    MessageTemplate,
    ModelSettings,
    OutputSchema,
    PromptContent,
    Variable,
)
from prompts.models import Prompt
from prompts.releases import services as releases
from tests.gateway import MESSAGES, Program, eventually, frames, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes

GREETING = {"name": "greeting", "variables": {"name": "Ada"}}


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


@pytest.fixture
def greeting(site: Site) -> Prompt:
    """A prompt with two versions: the first is in production, the second is called `next`."""
    prompt = services.create_prompt(organization=site.organization, name="greeting")
    for label, text in (("production", "Greet {{ name }}."), ("next", "Hail {{ name }}!")):
        content = PromptContent(
            messages=(MessageTemplate(role="system", template=text),),
            variables=(Variable(name="name"),),
            settings=ModelSettings(temperature=0.2, max_tokens=50),
        )
        version = services.add_version(prompt=prompt, content=content)
        releases.move_label(prompt=prompt, number=version.number, name=label)
    return prompt


def join(caller: Program, spare: FakeVendor) -> None:
    """Let a second vendor answer to the name too, and wait until the server has heard of it."""
    spare.serve(caller.model)
    marker = f"{caller.model}-too"
    spare.serve(marker, model="another-model")
    eventually(lambda: caller.http.get(f"/models/{marker}").is_success)


def refusal(response: httpx2.Response) -> tuple[int, str, str]:
    """Return the status, the code and the parameter of an error."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


@pytest.mark.usefixtures("greeting")
def test_the_official_client_asks_with_a_prompt(caller: Program) -> None:
    answer = caller.openai.chat.completions.create(
        model=caller.model, messages=MESSAGES, extra_body={"parley": {"prompt": GREETING}}
    )

    assert answer.choices[0].message.content
    sent = caller.vendor.requests[0].body
    assert sent["messages"] == [{"role": "system", "content": "Greet Ada."}, *MESSAGES]
    assert sent["temperature"] == 0.2
    assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    row = record()
    assert (row.prompt_name, row.prompt_version) == ("greeting", 1)


@pytest.mark.usefixtures("greeting")
def test_the_callers_settings_come_before_the_prompts(caller: Program) -> None:
    caller.post(temperature=0, max_tokens=7, parley={"prompt": GREETING})

    sent = caller.vendor.requests[0].body
    assert sent["temperature"] == 0
    assert 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


TOOL: dict[str, Any] = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"found": {"type": "boolean"}}}


def set_up_all(prompt: Prompt, model: str) -> None:
    """Give the prompt a version that says all that a version can say, and the label `all`."""
    content = PromptContent(
        messages=(MessageTemplate(role="system", template="Look."),),
        settings=ModelSettings(model=model, top_p=0.5, stop=("END",), seed=7),
        tools=(Tool(function=FunctionDefinition(**TOOL)),),
        output_schema=OutputSchema(name="found", schema=SCHEMA),
    )
    version = services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number, name="all")


def test_a_version_brings_its_model_settings_tools_and_schema(
    caller: Program, greeting: Prompt
) -> None:
    set_up_all(greeting, caller.model)
    asked = {"parley": {"prompt": {"name": "greeting", "label": "all"}}}

    left_out = caller.http.post("/chat/completions", json=asked)
    named = caller.http.post("/chat/completions", json={"model": "prompt", **asked})

    assert (left_out.status_code, named.status_code) == (200, 200)
    sent = caller.vendor.requests[0].body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["look_up"]
    assert (sent["top_p"], sent["stop"], sent["seed"]) == (0.5, ["END"], 7)
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA


def test_what_a_prompt_and_its_caller_both_bring_is_refused(
    caller: Program, greeting: Prompt
) -> None:
    set_up_all(greeting, caller.model)
    tools = [{"type": "function", "function": TOOL}]

    response = caller.post(tools=tools, parley={"prompt": {"name": "greeting", "label": "all"}})

    assert refusal(response) == (400, "invalid_request", "tools")
    assert not UsageRecord.objects.exists()


@pytest.mark.usefixtures("greeting")
def test_somebody_names_the_model(caller: Program) -> None:
    for body in ({}, {"model": "prompt"}):
        asked = {**body, "parley": {"prompt": GREETING}}
        response = caller.http.post("/chat/completions", json=asked)
        assert refusal(response) == (400, "invalid_request", "model")
    without = caller.http.post("/chat/completions", json={"messages": MESSAGES})

    assert refusal(without) == (400, "invalid_request", "model")
    assert not UsageRecord.objects.exists()


@pytest.mark.usefixtures("greeting")
def test_a_prompt_is_enough_without_messages(caller: Program) -> None:
    by_label = {"parley": {"prompt": {**GREETING, "label": "next"}}, "stream": True}
    by_number = {"parley": {"prompt": {**GREETING, "version": 1}}}

    streamed = caller.http.post("/chat/completions", json={"model": caller.model, **by_label})
    whole = caller.http.post("/chat/completions", json={"model": caller.model, **by_number})

    assert frames(streamed)[-1] == "[DONE]"
    assert whole.json()["choices"]
    sent = [request.body["messages"] for request in caller.vendor.requests]
    assert sent == [
        [{"role": "system", "content": "Hail Ada!"}],
        [{"role": "system", "content": "Greet Ada."}],
    ]


WRONG_PROMPTS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"name": "nobody"}, 404, "prompt_not_found", "name"),
    ({"name": "no/name"}, 400, "invalid_request", "name"),
    ({**GREETING, "label": "never"}, 404, "prompt_not_found", "label"),
    ({**GREETING, "version": 9}, 404, "prompt_not_found", "version"),
    ({**GREETING, "version": 1, "label": "next"}, 400, "invalid_request", "version"),
    ({"name": "greeting"}, 400, "prompt_variables_invalid", "variables"),
    ({**GREETING, "variables": {"age": 3}}, 400, "prompt_variables_invalid", "variables"),
    ({**GREETING, "locale": "no tag"}, 400, "invalid_request", "locale"),
    ({**GREETING, "user": "two words"}, 400, "invalid_request", "user"),
    ({**GREETING, "colour": "red"}, 400, "unknown_parameter", "colour"),
]


@pytest.mark.usefixtures("greeting")
def test_what_is_wrong_with_a_prompt_is_named(caller: Program) -> None:
    for prompt, status, code, param in WRONG_PROMPTS:
        response = caller.post(parley={"prompt": prompt})
        assert refusal(response) == (status, code, f"parley.prompt.{param}")

    assert caller.vendor.requests == []
    assert not UsageRecord.objects.exists()


def test_a_prompt_of_another_organization_does_not_exist(caller: Program) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    prompt = services.create_prompt(organization=other, name="greeting")
    content = PromptContent(messages=(MessageTemplate(role="system", template="Secret"),))
    services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=1)

    response = caller.post(parley={"prompt": {"name": "greeting"}})

    assert refusal(response) == (404, "prompt_not_found", "parley.prompt.name")
    assert not UsageRecord.objects.exists()


def test_tags_and_cache_are_as_in_headers_and_hold_before_them(caller: Program) -> None:
    caller.http.headers["X-Parley-Tags"] = "team:search"
    caller.http.headers["X-Parley-Cache"] = "off"

    results = [
        caller.post(
            temperature=0, parley={"tags": ["nightly", "nightly"], "cache": {"mode": "on"}}
        ).headers["x-parley-cache"]
        for _ in range(2)
    ]
    by_header = caller.post(temperature=0, parley={}).headers["x-parley-cache"]

    assert [*results, by_header] == ["miss", "hit", "miss"]
    tags = UsageRecord.objects.order_by("started_at").values_list("tags", flat=True)
    assert list(tags) == [["nightly"], ["nightly"], ["team:search"]]


def test_rather_no_answer_than_a_new_one(caller: Program) -> None:
    response = caller.post(temperature=0, parley={"cache": {"only_if_cached": True}})

    assert (response.status_code, response.json()["error"]["code"]) == (504, "not_cached")
    assert caller.vendor.requests == []


def test_a_caller_narrows_who_may_answer(caller: Program, spare: FakeVendor) -> None:
    join(caller, spare)
    hints: list[dict[str, Any]] = [
        {"only": ["spare"]},
        {"only": ["spare/vendor-model"]},
        {"ignore": ["vendor/vendor-model"]},
        {"only": ["spare", "vendor"], "ignore": ["spare"]},
        {},
    ]

    answered = [
        caller.post(parley={"routing": routing}).headers["x-parley-provider"] for routing in hints
    ]

    assert answered == ["spare", "spare", "spare", "vendor", "vendor"]


def test_nobody_left_is_refused(caller: Program) -> None:
    response = caller.post(parley={"routing": {"only": ["nobody"]}})

    assert refusal(response) == (400, "invalid_request", "parley.routing")
    assert not UsageRecord.objects.exists()


def test_no_fallback_goes_where_the_caller_does_not_want_it(
    caller: Program, spare: FakeVendor
) -> None:
    join(caller, spare)
    caller.vendor.script(Answer(status=400, error={"message": "no"}))

    caller.post(parley={"routing": {"ignore": ["spare"]}})

    assert spare.requests == []


@pytest.mark.parametrize(
    ("said", "units"),
    [
        ({}, {"user": "user:3", "key": "key:7"}),
        ({"user": "ada"}, {"user": "caller:ada", "key": "key:7"}),
        (
            {"conversation": "c-1"},
            {"user": "user:3", "conversation": "conversation:c-1", "key": "key:7"},
        ),
    ],
)
def test_a_program_keeps_its_users_apart(said: dict[str, Any], units: dict[str, str]) -> None:
    principal = Principal(organization_id=1, user_id=3, api_key_id=7)

    assert PromptWish(name="greeting", **said).units(principal) == units


@pytest.mark.usefixtures("greeting")
@pytest.mark.parametrize(
    ("path", "body"),
    [("/responses", {}), ("/messages", {"max_tokens": 9, "messages": MESSAGES})],
)
def test_every_wire_asks_for_the_prompts_model(
    caller: Program, greeting: Prompt, path: str, body: dict[str, Any]
) -> None:
    set_up_all(greeting, caller.model)
    asked = {**body, "parley": {"prompt": {"name": "greeting", "label": "all"}}}

    answered = caller.http.post(path, json=asked)
    without = caller.http.post(path, json=body or {"input": "Hi"})

    assert answered.status_code == 200, answered.text
    assert caller.vendor.requests[0].body["messages"][0]["content"] == "Look."
    assert without.status_code == 400
    assert "model" in without.text
