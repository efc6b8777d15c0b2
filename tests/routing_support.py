"""What tests of routing share: deployments behind a name, and the plan that a request gets."""

from decimal import Decimal
from typing import Any

from billing import prices
from llm.models import Deployment, Provider, Route, RouteDeployment
from llm.routing import plan, routes
from llm.routing.plan import Fitting, Plan
from llm.types import Call, ChatRequest

NAME = "test-model"


def deploy(
    model: str,
    *,
    by: str = "maker",
    usd: tuple[str, str] | None = ("1", "2"),
    **fields: Any,
) -> Deployment:
    """Make a deployment of a provider; `usd` is the price of input and output."""
    provider, _ = Provider.objects.get_or_create(name=by, defaults={"kind": "demo"})
    made = Deployment.objects.create(provider=provider, model=model, **fields)
    if usd is not None:
        input_usd, output_usd = map(Decimal, usd)
        prices.set_price(provider=by, model=model, input_usd=input_usd, output_usd=output_usd)
    return made


def route(*steps: Deployment | tuple[Deployment, dict[str, Any]], **fields: Any) -> Route:
    """Route the test's name to the steps, in order; a step may say more of itself."""
    made = Route.objects.create(**{"alias": NAME, **fields})
    for position, step in enumerate(steps):
        deployment, more = step if isinstance(step, tuple) else (step, {})
        RouteDeployment.objects.create(route=made, deployment=deployment, position=position, **more)
    routes.forget()
    return made


async def planned(request: ChatRequest, call: Call) -> Plan:
    return await plan.make(request, call, await routes.find(request.model, call.principal))


def names(fittings: tuple[Fitting, ...]) -> list[str]:
    return [fitting.deployment.model for fitting in fittings]
