"""Responses that are kept for a while: referred to, read and deleted by their own caller alone."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import openai
import pytest
from django.contrib.auth import get_user_model
from openai import OpenAI

from accounts import keys
from accounts.models import Membership, Organization
from accounts.principal import Principal
from core import redis
from gateway.responses import kept
from tests.gateway import Program, program
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

NOW: Any = {"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}
CALL = {"id": "call_1", "name": "now", "arguments": "{}"}
UNKNOWN = f"resp_{'0' * 32}"


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def told(caller: Program) -> list[tuple[str, Any]]:
    """Return what the vendor was told last."""
    messages = caller.vendor.requests[-1].body["messages"]
    return [(message["role"], message["content"]) for message in messages]


def reference(id: str) -> Any:
    return {"type": "item_reference", "id": id}


def ask(caller: Program, is_stream: bool, **parameters: Any) -> Any:
    """Return a response, as it came in one piece or as the last event of a stream has it."""
    if not is_stream:
        return caller.openai.responses.create(model=caller.model, **parameters)
    *_, last = caller.openai.responses.create(model=caller.model, stream=True, **parameters)
    assert last.type == "response.completed"
    return last.response


@pytest.fixture
def stranger(caller: Program, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """Return the client of somebody else, as the parameter says."""
    organization, user = caller.site.organization, None
    if request.param == "organization":
        organization = Organization.objects.create(name="Other", slug="other")
    if request.param == "person":
        user = get_user_model().objects.create_user("mallory")
        Membership.objects.create(user=user, organization=organization)
    _, secret = keys.create(organization=organization, name="Other", user=user)
    with OpenAI(base_url=f"{caller.site.url}/v1", api_key=secret, max_retries=0) as client:
        yield client


@pytest.mark.processes
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_earlier_answer_may_be_referred_to(caller: Program, is_stream: bool) -> None:
    caller.vendor.script(
        Answer(text="Let me see.", tool_calls=[CALL], finish_reason="tool_calls"),
        Answer(text="It is noon."),
        Answer(text="Bye."),
    )
    first = ask(caller, is_stream, input="How late is it?", tools=[NOW])
    words, call = first.output
    conversation = [
        {"role": "user", "content": "How late is it?"},
        reference(words.id),
        reference(call.id),
        {"type": "function_call_output", "call_id": "call_1", "output": "12:00"},
    ]
    second = ask(caller, is_stream, input=conversation, tools=[NOW])
    conversation += [reference(second.output[0].id), {"role": "user", "content": "Thanks."}]

    ask(caller, is_stream, input=conversation, tools=[NOW])

    assert told(caller) == [
        ("user", "How late is it?"),
        ("assistant", "Let me see."),
        ("tool", "12:00"),
        ("assistant", "It is noon."),
        ("user", "Thanks."),
    ]
    assert (first.to_dict()["store"], second.to_dict()["store"]) == (True, True)


@pytest.mark.processes
def test_a_response_goes_on_from_an_earlier_one(caller: Program) -> None:
    client, model = caller.openai, caller.model
    first = client.responses.create(model=model, input="Hello", instructions="In English.")
    second = client.responses.create(
        model=model, input="And now?", previous_response_id=first.id, store=False
    )
    third = client.responses.create(model=model, input="Then?", previous_response_id=first.id)

    client.responses.create(model=model, input="So?", previous_response_id=third.id)

    answer = ("assistant", first.output_text)
    assert told(caller) == [
        *(("user", "Hello"), answer, ("user", "Then?"), answer),
        ("user", "So?"),
    ]
    assert second.previous_response_id == first.id
    assert second.to_dict()["store"] is False
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="Hm?", previous_response_id=second.id)
    assert (caught.value.code, caught.value.param) == (
        *("previous_response_not_found", "previous_response_id"),
    )


@pytest.mark.processes
def test_a_request_refers_to_so_many_responses_and_no_more(caller: Program) -> None:
    items = [reference(f"msg_{number:032x}0000") for number in range(1001)]

    for count, code in ((1000, "item_not_found"), (1001, "invalid_request")):
        with pytest.raises(openai.APIStatusError) as caught:
            caller.openai.responses.create(model=caller.model, input=items[:count])
        assert caught.value.code == code


@pytest.mark.processes
def test_a_response_is_there_until_it_is_deleted(caller: Program) -> None:
    client = caller.openai
    made = client.responses.create(model=caller.model, input="Hello")

    assert client.responses.retrieve(made.id).to_dict() == made.to_dict()

    client.responses.delete(made.id)
    for look in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            look(made.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=caller.model, input=[reference(made.output[0].id or "")])
    assert (caught.value.code, caught.value.param) == ("item_not_found", "input[0]")
    assert "store: false" in caught.value.message


@pytest.mark.processes
def test_where_nothing_is_to_be_kept_nothing_is(caller: Program) -> None:
    organization = caller.site.organization
    _, secret = keys.create(organization=organization, name="Private", cache_mode="off")
    private = caller.openai.with_options(api_key=secret)

    for client, store in ((caller.openai, False), (private, True)):
        made = client.responses.create(model=caller.model, input="Secret", store=store)

        assert made.to_dict()["store"] is False
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)


@pytest.mark.processes
@pytest.mark.parametrize("stranger", ["key", "person", "organization"], indirect=True)
def test_nobody_reaches_the_response_of_another(caller: Program, stranger: OpenAI) -> None:
    made = caller.openai.responses.create(model=caller.model, input="Hello")
    item = reference(made.output[0].id or "")

    for look in (stranger.responses.retrieve, stranger.responses.delete):
        with pytest.raises(openai.NotFoundError):
            look(made.id)
    with pytest.raises(openai.NotFoundError):
        stranger.responses.create(model=caller.model, input=[item])
    with pytest.raises(openai.BadRequestError):
        stranger.responses.create(model=caller.model, input="?", previous_response_id=made.id)

    assert len(caller.vendor.requests) == 1
    assert caller.openai.responses.retrieve(made.id).id == made.id


@pytest.mark.processes
def test_addresses_of_responses_are_read_strictly(caller: Program) -> None:
    streamed = caller.http.get(f"/responses/{UNKNOWN}?stream=true")
    other = caller.http.get("/responses/used")
    posted = caller.http.post(f"/responses/{UNKNOWN}")

    assert (streamed.status_code, streamed.json()["error"]["param"]) == (400, "stream")
    assert (other.status_code, posted.status_code) == (404, 405)
    assert posted.headers["allow"] == "DELETE, GET"


@pytest.fixture
def owner() -> Principal:
    """Return somebody of an organization that nothing is kept of."""
    return Principal(organization_id=uuid4().int >> 65, user_id=2)


async def keep(owner: Principal, name: str) -> None:
    """Keep an answer of 100 bytes."""
    assert await kept.keep(owner, name, answer=b"x" * 100, conversation=b"[]")


async def age(owner: Principal, name: str) -> None:
    """Let the answer be the one that was not used for longest, by far."""
    kind = redis.key("responses", owner.organization_id, "answer")
    await redis.client().zadd(f"{kind}:used", {f"{kind}:person-2:{name}": 1})


async def bytes_of(owner: Principal) -> int:
    kind = redis.key("responses", owner.organization_id, "answer")
    return int(await redis.client().hget(f"{kind}:bytes", "all") or -1)


async def test_the_organizations_room_is_for_what_was_used_last(
    owner: Principal, settings: Any
) -> None:
    settings.MAX_RESPONSES_BYTES = 2 * 250
    settings.RESPONSE_HOURS = 10.0**6  # nothing goes for its age
    await keep(owner, "first")
    await keep(owner, "second")
    await age(owner, "second")

    await keep(owner, "third")

    found = await kept.find(owner, "answer", ["first", "second", "third"])
    assert [body is not None for body in found] == [True, False, True]
    assert await bytes_of(owner) == 200


async def test_what_was_not_used_for_long_gives_its_room_back(owner: Principal) -> None:
    await keep(owner, "old")
    await age(owner, "old")

    await keep(owner, "new")

    assert await kept.find(owner, "answer", ["old"]) == [None]
    assert await bytes_of(owner) == 100
    assert await kept.forget(owner, "new")
    assert await bytes_of(owner) == 0


async def test_what_is_used_is_kept_for_longer(owner: Principal) -> None:
    await keep(owner, "old")
    await age(owner, "old")
    assert await kept.find(owner, "answer", ["old"]) != [None]

    await keep(owner, "new")

    assert await kept.find(owner, "answer", ["old"]) != [None]


def test_what_is_too_large_for_the_room_is_not_kept(settings: Any) -> None:
    settings.MAX_RESPONSES_BYTES = 2 * 100

    assert kept.fits(b"x" * 100)
    assert not kept.fits(b"x" * 101)
