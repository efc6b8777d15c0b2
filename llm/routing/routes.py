"""Which deployments answer to a name, and who may ask for it.

An organization may ask for the routes that are for everybody, and for those that name it. A
deployment's own name (`provider/model`) is open to whoever may ask for a route it stands in; one
in no route can be asked for by nobody. A key may narrow this down to names of its own choosing.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase

from django.db.models import Prefetch

from accounts.principal import Principal
from core.cached import Cached
from core.errors import InvalidRequest
from llm import credentials, models, tokens
from llm.errors import ModelNotFound
from llm.providers import Deployment, Timeouts
from llm.types import ModelOffer, RoutingWish

STEPS = Prefetch("steps", models.RouteDeployment.objects.order_by("position", "pk"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A deployment's place in a route."""

    deployment: Deployment
    role: str = models.StepRole.ANSWER
    weight: int = 1
    tasks: frozenset[str] = frozenset()  # empty: every task

    def is_for(self, task: str) -> bool:
        """Return whether calls for the task come by here; "" is a call for nothing special."""
        return not self.tasks or task in self.tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A name that callers ask for, and who answers to it, by position."""

    alias: str
    steps: tuple[Step, ...]
    created_at: datetime
    description: str = ""
    strategy: str = models.Strategy.PRIORITY
    is_hedged: bool = False
    is_cached: bool = False
    is_listed: bool = True
    organizations: frozenset[int] | None = None  # who may ask for it; `None`: everybody

    def is_open_to(self, principal: Principal) -> bool:
        """Return whether the caller may ask for it; a key's own list is of names, as asked."""
        return (
            self.organizations is None or principal.organization_id in self.organizations
        ) and _is_allowed(self.alias, principal.allowed_models)

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return tuple(step.deployment for step in self.steps)


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of one moment. A deployment also answers to `provider/model`."""

    by_alias: dict[str, Route]
    by_deployment: dict[str, Route]


async def find(name: str, principal: Principal) -> Route:
    """Return the route that `name` stands for.

    Raises `ModelNotFound`, also for what exists but not for this caller.
    """
    routes = await _routes.get(None)
    found = routes.by_alias.get(name) or routes.by_deployment.get(name)
    if found is None or not found.steps or not found.is_open_to(principal):
        raise ModelNotFound(f"The model {name[:200]!r} does not exist.", param="model")
    return found


async def offers(principal: Principal) -> list[ModelOffer]:
    """Return every name that is shown to the caller, in order."""
    routes = await _routes.get(None)
    return [
        ModelOffer(
            id=route.alias,
            provider=route.steps[0].deployment.provider,
            model=route.steps[0].deployment.model,
            description=route.description,
            created_at=route.created_at,
        )
        for route in routes.by_alias.values()
        if route.steps and route.is_listed and route.is_open_to(principal)
    ]


def narrowed(route: Route, wish: RoutingWish) -> Route:
    """Return the route with those alone whom the caller allows; raise where nobody is left."""
    if not (wish.only or wish.ignore):
        return route
    steps = tuple(
        step for step in route.steps if wish.allows(step.deployment.provider, step.deployment.model)
    )
    if not steps:
        raise InvalidRequest(
            f"Nobody is left who may answer for {route.alias}.", param="parley.routing"
        )
    return replace(route, steps=steps)


def forget() -> None:
    """Read the routes anew at the next call, after a change made in this process."""
    _routes.clear()


def _is_allowed(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _load(_: None) -> Routes:
    # Here we are in a thread: the first call's tokenizer is made ready off the event loop.
    tokens.preload()
    rows = models.Deployment.objects.filter(is_active=True, provider__is_active=True)
    rows = rows.select_related("provider").prefetch_related("provider__credentials")
    deployments = {row.pk: row for row in rows}
    plain = {pk: _plain(row) for pk, row in deployments.items()}
    active = models.Route.objects.filter(is_active=True)
    routes = [_route(row, plain) for row in active.prefetch_related(STEPS, "organizations")]
    open_to = _open_to(routes)
    direct = [
        Route(
            alias=f"{row.provider.name}/{row.model}",
            steps=(Step(deployment=plain[pk]),),
            created_at=row.provider.created_at,
            organizations=open_to.get(pk, frozenset()),
        )
        for pk, row in deployments.items()
    ]
    return Routes(
        by_alias={route.alias: route for route in routes},
        by_deployment={route.alias: route for route in direct},
    )


def _open_to(routes: Iterable[Route]) -> dict[int, frozenset[int] | None]:
    """Return for each deployment of a route who may ask for it by its own name."""
    found: dict[int, set[int]] = defaultdict(set)
    for_all: set[int] = set()
    for route in routes:
        for step in route.steps:
            if route.organizations is None:
                for_all.add(step.deployment.id)
            else:
                found[step.deployment.id] |= route.organizations
    return {pk: frozenset(who) for pk, who in found.items()} | dict.fromkeys(for_all)


def _route(row: models.Route, deployments: dict[int, Deployment]) -> Route:
    return Route(
        alias=row.alias,
        steps=tuple(
            _step(step, deployments[step.deployment_id])
            for step in row.steps.all()
            if step.deployment_id in deployments
        ),
        created_at=row.created_at,
        description=row.description,
        strategy=row.strategy,
        is_hedged=row.is_hedged,
        is_cached=row.is_cached,
        is_listed=row.is_listed,
        organizations=None if row.is_for_all else frozenset(o.pk for o in row.organizations.all()),
    )


def _step(row: models.RouteDeployment, deployment: Deployment) -> Step:
    return Step(
        deployment=deployment,
        role=row.role,
        weight=row.weight,
        tasks=row.task_names,
    )


def _plain(row: models.Deployment) -> Deployment:
    return Deployment(
        id=row.pk,
        connections=credentials.connections_of(row.provider),
        model=row.model,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        timeouts=Timeouts(
            connect=row.connect_seconds,
            first_token=row.first_token_seconds,
            idle=row.idle_seconds,
            total=row.total_seconds,
        ),
        takes_images=row.takes_images,
        takes_tools=row.takes_tools,
        takes_schema=row.takes_schema,
    )


_routes: Cached[None, Routes] = Cached(_load)
