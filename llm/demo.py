"""The demo provider, for whoever has no key yet."""

from collections.abc import Mapping
from decimal import Decimal

from django.db import transaction

from billing import prices
from billing.pricing import PriceSnapshot
from llm.models import Deployment, Provider, ProviderKind, Route, RouteDeployment
from llm.providers.demo import FAULTS, MODELS

NAME = "demo"
DEFAULT_ALIAS = "default"  # what the chat asks for unless told otherwise
DESCRIPTION = "A demo: answers without a language model."
# They read texts and do not chat, so they are not offered to people who choose a model.
READERS = {
    "demo-embedding": "A demo: makes vectors of texts, near each other where words are the same.",
    "demo-moderation": "A demo: flags a handful of words.",
}
# US dollars per million tokens, about what such models cost: budgets move visibly.
PRICES = {
    "demo-small": ("0.15", "0.60"),
    "demo-large": ("2.50", "10"),
    "demo-embedding": ("0.02", "0"),
    "demo-moderation": ("0", "0"),
}


@transaction.atomic
def seed() -> None:
    """Make the demo provider with its models, faults, prices and routes; safe to run twice."""
    provider, _ = Provider.objects.get_or_create(name=NAME, defaults={"kind": ProviderKind.DEMO})
    # Two processes that seed at once take turns.
    Provider.objects.select_for_update().get(pk=provider.pk)
    known = set(provider.deployments.values_list("model", flat=True))
    _offer(provider, [model for model in (*MODELS, *READERS, *FAULTS) if model not in known])
    _make_default(provider)


def _offer(provider: Provider, models: list[str]) -> None:
    """Make models, each with a price and under its own name where that is free."""
    deployments = Deployment.objects.bulk_create(
        Deployment(provider=provider, model=model, context_tokens=128_000, max_output_tokens=4096)
        for model in models
    )
    taken = set(Route.objects.filter(alias__in=models).values_list("alias", flat=True))
    _route({one.model: one for one in deployments if one.model not in taken})
    prices.set_where_none(
        provider=NAME, prices={model: _price(model) for model in models}, source="demo"
    )


def _make_default(provider: Provider) -> None:
    if not Route.objects.filter(alias=DEFAULT_ALIAS).exists():
        _route({DEFAULT_ALIAS: provider.deployments.get(model=MODELS[0])})


def _route(deployments: Mapping[str, Deployment]) -> None:
    """Let each name lead to its deployment."""
    routes = Route.objects.bulk_create(
        # A fault can be asked for by its name, and is not offered to people who choose a model.
        Route(alias=alias, description=_description(alias), is_listed=deployment.model in MODELS)
        for alias, deployment in deployments.items()
    )
    RouteDeployment.objects.bulk_create(
        RouteDeployment(route=route, deployment=deployments[route.alias]) for route in routes
    )


def _description(alias: str) -> str:
    if alias == DEFAULT_ALIAS:
        return "What is used when nothing else is chosen."
    if fault := FAULTS.get(alias):
        return f"A demo model that {fault}."
    return READERS.get(alias, DESCRIPTION)


def _price(model: str) -> PriceSnapshot:
    input_usd, output_usd = PRICES.get(model, PRICES[MODELS[0]])
    return PriceSnapshot(input_usd=Decimal(input_usd), output_usd=Decimal(output_usd))
