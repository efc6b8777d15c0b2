"""The demo provider, for whoever has no key yet."""

from decimal import Decimal

from django.db import transaction

from billing import prices
from llm.models import Deployment, Provider, ProviderKind, Route, RouteDeployment
from llm.providers.demo import FAULTS, MODELS

NAME = "demo"
DEFAULT_ALIAS = "default"  # what the chat asks for unless told otherwise
DESCRIPTION = "A demo: answers without a language model."
FAULT_DESCRIPTION = "A demo of what happens when a model fails."
# US dollars per million tokens, about what a small and a large model cost: budgets move visibly.
PRICES = {"demo-small": ("0.15", "0.60"), "demo-large": ("2.50", "10")}


@transaction.atomic
def seed() -> None:
    """Make the demo provider with its models, faults, prices and routes; safe to run twice."""
    provider, _ = Provider.objects.get_or_create(name=NAME, defaults={"kind": ProviderKind.DEMO})
    for model in (*MODELS, *FAULTS):
        deployment, is_new = Deployment.objects.get_or_create(
            provider=provider,
            model=model,
            defaults={"context_tokens": 128_000, "max_output_tokens": 4096},
        )
        if is_new:
            _offer(deployment)
    _make_default(provider)


def _offer(deployment: Deployment) -> None:
    is_fault = deployment.model in FAULTS
    _route(deployment.model, deployment, FAULT_DESCRIPTION if is_fault else DESCRIPTION)
    input_usd, output_usd = PRICES.get(deployment.model, PRICES[MODELS[0]])
    prices.set_price(
        provider=NAME,
        model=deployment.model,
        input_usd=Decimal(input_usd),
        output_usd=Decimal(output_usd),
        source="demo",
    )


def _make_default(provider: Provider) -> None:
    if not Route.objects.filter(alias=DEFAULT_ALIAS).exists():
        deployment = provider.deployments.get(model=MODELS[0])
        _route(DEFAULT_ALIAS, deployment, "What is used when nothing else is chosen.")


def _route(alias: str, deployment: Deployment, description: str) -> None:
    route, is_new = Route.objects.get_or_create(alias=alias, defaults={"description": description})
    if is_new:
        RouteDeployment.objects.create(route=route, deployment=deployment)
