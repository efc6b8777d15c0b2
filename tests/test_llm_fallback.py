"""Who is asked instead: another key, a larger window, whoever has no cooldown."""

import asyncio
from contextlib import aclosing

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from llm import attempts, credentials, errors
from llm.attempts import Policy
from llm.models import Deployment, RouteDeployment
from llm.providers import Connection
from llm.providers import Deployment as Served
from llm.routing import plan, routes
from llm.routing.plan import Fitting, Plan
from llm.types import Call, Event, Started
from tests.llm_support import MARKS, ask, collect, eventually, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS


TOO_LONG = Answer(status=400, error={"code": "context_length_exceeded", "message": "too long"})


FILTERED = Answer(status=400, error={"code": "content_filter", "message": "no"})


def served_by(events: list[Event]) -> str:
    started = events[0]
    assert isinstance(started, Started)
    return f"{started.provider}/{started.model}"


async def only_when(deployment: Deployment, role: str) -> None:
    await RouteDeployment.objects.filter(deployment=deployment).aupdate(role=role)
    routes.forget()


def named(logs: list[EventDict], *names: str) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] in names]


@pytest.fixture
def keys(vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan over one deployment with three keys, of which a refused one is not chosen again."""
    connections = tuple(
        Connection(name="vendor", kind="openai", base_url=f"{vendor.url}/v1", api_key=f"key-{n}")
        for n in (1, 2, 3)
    )
    refused: list[Connection] = []

    def left() -> list[Connection]:
        return [connection for connection in connections if connection not in refused]

    def choose(deployment: Served) -> Connection:
        if not left():
            raise errors.AuthenticationFailed("There is no key left.")
        return left()[0]

    def set_aside(_: Served, connection: Connection, error: errors.ProviderError) -> bool:
        if not isinstance(error, errors.AuthenticationFailed | errors.ProviderPermissionDenied):
            return False
        refused.append(connection)
        return bool(left())

    monkeypatch.setattr(credentials, "choose", choose)
    monkeypatch.setattr(credentials, "set_aside", set_aside)
    return Plan(
        alias="test-model",
        ordinary=(Fitting(Served(id=990_001, connections=connections, model="m"), 9, 100),),
    )


async def answered(who: Plan, call: Call) -> list[Event]:
    async with aclosing(attempts.stream(ask(), call, who)) as events:
        return [event async for event in events]


async def test_a_refused_key_is_replaced_at_once(
    vendor: FakeVendor, call: Call, keys: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "POLICY", Policy(retries=0))
    vendor.script(Answer(status=401), Answer(status=403), Answer())

    await answered(keys, call)

    used = [request.headers["Authorization"] for request in vendor.requests]
    assert used == ["Bearer key-1", "Bearer key-2", "Bearer key-3"]
    assert [row.error_class for row in await recorded()] == [
        "AuthenticationFailed",
        "ProviderPermissionDenied",
        "",
    ]


async def test_there_are_no_more_tries_than_keys(
    vendor: FakeVendor, call: Call, keys: Plan
) -> None:
    vendor.script(Answer(status=401))

    with pytest.raises(errors.AuthenticationFailed):
        await answered(keys, call)
    assert len(vendor.requests) == 3

    with pytest.raises(errors.AuthenticationFailed, match="no key left"):
        await answered(keys, call)
    assert len(vendor.requests) == 3


async def test_too_long_for_one_goes_to_a_larger_window_alone(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=10_000)
    await spare.aserve(model="smaller", context_tokens=9_000)
    await spare.aserve(model="unknown")
    await spare.aserve(model="larger", context_tokens=20_000)
    vendor.script(TOO_LONG)

    events = await collect(ask(), call)

    assert served_by(events) == "spare/larger"
    assert len(spare.requests) == 1


async def test_too_long_goes_where_the_route_says_so_first(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=10_000)
    await spare.aserve(model="larger", context_tokens=20_000)
    await only_when(await spare.aserve(model="for-long-ones"), "too_long")
    vendor.script(TOO_LONG)

    assert served_by(await collect(ask(), call)) == "spare/for-long-ones"


async def test_what_a_filter_refuses_goes_where_the_route_says_so(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve(model="ordinary")
    await only_when(await spare.aserve(model="for-filtered"), "filtered")
    vendor.script(FILTERED)

    assert served_by(await collect(ask(), call)) == "spare/for-filtered"
    assert [row.outcome for row in await recorded()] == ["filtered", "success"]


@pytest.fixture
def long_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no slow machine come to the end of a cooldown."""
    monkeypatch.setattr("llm.health.breaker.FIRST_COOLDOWN", 100.0)


@pytest.mark.usefixtures("long_cooldown")
async def test_a_failing_deployment_is_passed_over(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    made_before = await plan.make(ask(), call, await routes.find("test-model", call.principal))
    vendor.script(Answer(status=500))
    await collect(ask(), call)
    await collect(ask(), call)
    assert len(vendor.requests) == 5  # the fifth failure in a row opens; no retry after that

    with capture_logs() as logs:
        events = await answered(made_before, call)

    assert served_by(events).startswith("spare/")
    assert len(vendor.requests) == 5
    [passed_over] = named(logs, "llm.fallback")
    assert (passed_over["from"], passed_over["error"]) == ("vendor/vendor-model", "NoDeployment")


@pytest.mark.usefixtures("long_cooldown")
async def test_when_all_are_given_a_rest_nobody_is_called(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=500))
    for _ in range(2):
        with pytest.raises(errors.ServerError):
            await collect(ask(), call)
    asked = len(vendor.requests)

    with pytest.raises(errors.NoDeployment, match="test-model") as refused:
        await collect(ask(), call)

    assert len(vendor.requests) == asked == 5
    assert refused.value.http_status == 503
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 120
    assert "vendor" not in refused.value.message


async def test_who_limits_the_rate_shortly_is_waited_for(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"retry-after-ms": "300"}), Answer())

    with capture_logs() as logs:
        first = asyncio.create_task(collect(ask(), call))
        await eventually(lambda: bool(named(logs, "llm.retry")))
        await asyncio.gather(first, collect(ask(), call))

    limited, *others = [request.at for request in vendor.requests]
    assert len(others) == 2
    assert min(others) - limited >= 0.29


async def test_who_limits_the_rate_for_long_is_not_asked_meanwhile(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"Retry-After": "60"}))

    for _ in range(2):
        with pytest.raises(errors.RateLimited) as refused:
            await collect(ask(), call)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 60

    assert len(vendor.requests) == 1
