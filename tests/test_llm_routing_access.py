"""Who may ask for which model: organizations by route, keys by name."""

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from accounts import keys
from accounts.models import ApiKey, Organization
from accounts.principal import Principal
from llm import demo, service
from llm.errors import ModelNotFound
from llm.models import Route
from llm.providers.demo import MODELS
from llm.routing import routes
from llm.types import Call
from tests.llm_support import MARKS, ask, collect
from tests.routing_support import deploy, names, planned, route

pytestmark = MARKS


@pytest.fixture
async def other(call: Call) -> Organization:
    return await Organization.objects.acreate(name="Other", slug="other")


def allowing(call: Call, *patterns: str) -> Call:
    """Return the same call with a key that may ask for these names only."""
    principal = Principal(call.principal.organization_id, allowed_models=patterns)
    return replace(call, principal=principal)


async def offered(call: Call) -> list[str]:
    return [offer.id for offer in await service.models(call.principal)]


async def may_ask(call: Call, *models: str) -> list[str]:
    """Return those of the models that exist for the caller."""
    found = []
    for model in models:
        try:
            await planned(ask(model=model), call)
        except ModelNotFound:
            continue
        found.append(model)
    return found


async def test_a_route_exists_only_for_the_organizations_it_names(
    call: Call, other: Organization
) -> None:
    def arrange() -> None:
        route(deploy("open"), alias="open")
        route(deploy("theirs"), alias="theirs", is_for_all=False).organizations.add(other)
        mine = route(deploy("mine"), alias="mine", is_for_all=False)
        mine.organizations.add(call.principal.organization_id, other)

    await sync_to_async(arrange)()

    assert await may_ask(call, "open", "theirs", "mine") == ["open", "mine"]
    assert await offered(call) == ["mine", "open"]
    with pytest.raises(ModelNotFound, match="'theirs' does not exist"):
        await collect(ask(model="theirs"), call)


async def test_deleting_the_last_organization_opens_a_route_to_nobody(
    call: Call, other: Organization
) -> None:
    def arrange() -> None:
        route(deploy("theirs"), alias="theirs", is_for_all=False).organizations.add(other)
        other.delete()

    await sync_to_async(arrange)()

    assert await may_ask(call, "theirs", "maker/theirs") == []


async def test_a_deployments_own_name_is_open_to_whoever_may_ask_for_a_route_with_it(
    call: Call, other: Organization
) -> None:
    def arrange() -> None:
        shared = deploy("shared")
        route(shared, alias="theirs", is_for_all=False).organizations.add(other)
        route(shared, alias="open")
        hidden = deploy("hidden")
        route(hidden, alias="theirs too", is_for_all=False).organizations.add(other)
        deploy("in-no-route")
        route(deploy("switched-off"), alias="off", is_active=False)

    await sync_to_async(arrange)()
    models = [f"maker/{name}" for name in ("shared", "hidden", "in-no-route", "switched-off")]

    assert await may_ask(call, *models) == ["maker/shared"]
    theirs = replace(call, principal=Principal(other.pk))
    assert await may_ask(theirs, *models) == ["maker/shared", "maker/hidden"]


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        ((), ["gpt-large", "gpt-small", "other", "maker/other"]),
        (("gpt-*",), ["gpt-large", "gpt-small"]),
        (("gpt-small", "maker/*"), ["gpt-small", "maker/other"]),
        (("GPT-*",), []),
    ],
)
async def test_a_key_may_ask_only_for_the_names_on_its_list(
    call: Call, patterns: tuple[str, ...], allowed: list[str]
) -> None:
    def arrange() -> None:
        for alias in ("gpt-large", "gpt-small", "other"):
            route(deploy(alias), alias=alias)

    await sync_to_async(arrange)()
    limited = allowing(call, *patterns)

    assert await may_ask(limited, "gpt-large", "gpt-small", "other", "maker/other") == allowed
    assert await offered(limited) == [name for name in allowed if "/" not in name]


async def test_a_keys_list_is_read_with_the_key_a_name_a_line(call: Call) -> None:
    organization = await Organization.objects.aget(pk=call.principal.organization_id)
    made: tuple[ApiKey, str] = await sync_to_async(keys.create)(
        organization=organization, name="narrow", allowed_models="gpt-*\r\n\r\n  my model \r\n"
    )

    principal = await keys.authenticate(made[1])

    assert principal.allowed_models == ("gpt-*", "my model")


async def test_what_is_not_listed_can_be_asked_for_and_is_not_offered(call: Call) -> None:
    def arrange() -> None:
        route(deploy("inner"), alias="inner", is_listed=False)
        route(deploy("outer"), alias="outer")

    await sync_to_async(arrange)()

    assert await offered(call) == ["outer"]
    assert names((await planned(ask(model="inner"), call)).ordinary) == ["inner"]


async def test_the_demos_faults_are_not_offered(call: Call) -> None:
    await sync_to_async(demo.seed)()
    routes.forget()

    assert set(await offered(call)) == {"default", *MODELS}
    assert await may_ask(call, "fault-500") == ["fault-500"]
    assert await Route.objects.filter(alias__startswith="fault-", is_listed=True).acount() == 0
