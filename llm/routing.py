"""Which deployments answer to a name, in which order."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch

from core.cached import Cached
from llm import credentials, models, tokens
from llm.errors import ModelNotFound
from llm.providers import Connection, Deployment
from llm.types import ModelOffer

STEPS = Prefetch("steps", models.RouteDeployment.objects.order_by("position", "pk"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A name that callers ask for, and the deployments tried for it in order."""

    alias: str
    deployments: tuple[Deployment, ...]
    created_at: datetime
    description: str = ""
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of one moment. A deployment also answers to `provider/model`."""

    by_alias: dict[str, Route]
    by_deployment: dict[str, Route]


async def find(name: str) -> Route:
    """Return the route that `name` stands for, or raise `ModelNotFound`."""
    routes = await _routes.get(None)
    found = routes.by_alias.get(name) or routes.by_deployment.get(name)
    if found is None or not found.deployments:
        raise ModelNotFound(f"The model {name[:200]!r} does not exist.", param="model")
    return found


async def offers() -> list[ModelOffer]:
    """Return every name that can be asked for, in order."""
    routes = await _routes.get(None)
    return [
        ModelOffer(
            id=route.alias,
            provider=route.deployments[0].provider,
            model=route.deployments[0].model,
            description=route.description,
            created_at=route.created_at,
        )
        for route in routes.by_alias.values()
        if route.deployments
    ]


def forget() -> None:
    """Read the routes anew at the next call, after a change made in this process."""
    _routes.clear()


def _load(_: None) -> Routes:
    # Here we are in a thread: the first call's tokenizer is made ready off the event loop.
    tokens.preload()
    rows = models.Deployment.objects.filter(is_active=True, provider__is_active=True)
    by_deployment = {
        row.pk: Route(
            alias=f"{row.provider.name}/{row.model}",
            deployments=(_plain(row),),
            created_at=row.provider.created_at,
        )
        for row in rows.select_related("provider")
    }
    by_alias = {
        row.alias: Route(
            alias=row.alias,
            deployments=tuple(
                by_deployment[step.deployment_id].deployments[0]
                for step in row.steps.all()
                if step.deployment_id in by_deployment
            ),
            created_at=row.created_at,
            description=row.description,
            is_cached=row.is_cached,
        )
        for row in models.Route.objects.filter(is_active=True).prefetch_related(STEPS)
    }
    return Routes(by_alias, {route.alias: route for route in by_deployment.values()})


def _plain(row: models.Deployment) -> Deployment:
    provider = row.provider
    return Deployment(
        connection=Connection(
            name=provider.name,
            kind=provider.kind,
            base_url=provider.base_url,
            api_version=provider.api_version,
            api_key=credentials.api_key(provider),
        ),
        model=row.model,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
    )


_routes: Cached[None, Routes] = Cached(_load)
