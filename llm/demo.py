"""The demo provider, for whoever has no key yet."""

from decimal import Decimal

from django.db import transaction

from billing import prices
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
    for model in (*MODELS, *READERS, *FAULTS):
        deployment, is_new = Deployment.objects.get_or_create(
            provider=provider,
            model=model,
            defaults={"context_tokens": 128_000, "max_output_tokens": 4096},
        )
        if is_new:
            _offer(deployment)
    _make_default(provider)


def _offer(deployment: Deployment) -> None:
    model = deployment.model
    fault = FAULTS.get(model)
    description = f"A demo model that {fault}." if fault else READERS.get(model, DESCRIPTION)
    _route(model, deployment, description)
    input_usd, output_usd = PRICES.get(model, PRICES[MODELS[0]])
    prices.set_price(
        provider=NAME,
        model=model,
        input_usd=Decimal(input_usd),
        output_usd=Decimal(output_usd),
        source="demo",
    )


def _make_default(provider: Provider) -> None:
    if not Route.objects.filter(alias=DEFAULT_ALIAS).exists():
        deployment = provider.deployments.get(model=MODELS[0])
        _route(DEFAULT_ALIAS, deployment, "What is used when nothing else is chosen.")


def _route(alias: str, deployment: Deployment, description: str) -> None:
    # A fault can be asked for by its name, and is not offered to people who choose a model.
    route, is_new = Route.objects.get_or_create(
        alias=alias,
        defaults={"description": description, "is_listed": deployment.model in MODELS},
    )
    if is_new:
        RouteDeployment.objects.create(route=route, deployment=deployment)
