"""Providers, deployments, routes and prices: from the environment at start, or by command.

Only what is missing is made: what staff have changed in the admin stays as they left it.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from django.db import transaction

from billing import prices
from core.errors import AppError
from llm import catalog, demo
from llm.models import Deployment, Provider, ProviderKind, Route, RouteDeployment
from llm.presets import PRESETS
from llm.providers import Connection
from llm.providers.openai import OpenAIProvider

logger = structlog.get_logger(__name__)

# A large model may think and write at length; a small one must keep room for the question.
LARGE_CONTEXT = 100_000
LARGE_OUTPUT = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A provider that the environment asks for."""

    name: str
    kind: ProviderKind
    models: Mapping[str, int | None]  # with the size of the window, where the server tells it
    base_url: str = ""
    api_version: str = ""
    api_key_env: str = ""


def provision_from_environment() -> list[str]:
    """Make the providers that the environment names; return a line about each new one."""
    lines: list[str] = []
    for wanted in _wanted():
        lines += _provision(wanted)
    return lines


def add_deployment(
    provider: Provider, model: str, *, context_tokens: int | None
) -> Deployment | None:
    """Let `provider` serve `model`, under its own name where that is free; `None` if it does."""
    sizes = {"context_tokens": context_tokens}
    if context_tokens is not None and context_tokens >= LARGE_CONTEXT:
        sizes["max_output_tokens"] = LARGE_OUTPUT
    deployment, is_new = Deployment.objects.get_or_create(
        provider=provider, model=model, defaults=sizes
    )
    if not is_new:
        return None
    route, is_free = Route.objects.get_or_create(
        alias=model, defaults={"description": f"Served by {provider.name}."}
    )
    if is_free:
        RouteDeployment.objects.create(route=route, deployment=deployment)
    return deployment


def _wanted() -> Iterator[Wanted]:
    if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"):
        yield _openai()
    if os.environ.get("AZURE_OPENAI_API_KEY") and os.environ.get("AZURE_OPENAI_ENDPOINT"):
        yield Wanted(
            name="azure",
            kind=ProviderKind.AZURE,
            models=_named("AZURE_OPENAI_DEPLOYMENTS"),
            base_url=os.environ["AZURE_OPENAI_ENDPOINT"],
            api_version=os.environ.get("AZURE_OPENAI_API_VERSION", ""),
            api_key_env="AZURE_OPENAI_API_KEY",
        )
    if os.environ.get("ANTHROPIC_API_KEY"):
        yield Wanted(
            name="anthropic",
            kind=ProviderKind.ANTHROPIC,
            models=_named("ANTHROPIC_MODELS", catalog.ANTHROPIC_MODELS),
            api_key_env="ANTHROPIC_API_KEY",
        )
    if os.environ.get("GEMINI_API_KEY"):
        yield Wanted(
            name="gemini",
            kind=ProviderKind.OPENAI,
            models=_named("GEMINI_MODELS", catalog.GEMINI_MODELS),
            base_url=PRESETS["gemini"].base_url,
            api_key_env="GEMINI_API_KEY",
        )


def _openai() -> Wanted:
    base_url = os.environ.get("OPENAI_BASE_URL", "")
    return Wanted(
        name="openai",
        kind=ProviderKind.OPENAI,
        models=_named("OPENAI_MODELS") or _discover(base_url),
        base_url=base_url,
        api_key_env="OPENAI_API_KEY",
    )


def _discover(base_url: str) -> Mapping[str, int | None]:
    """Return what the server at `base_url` says it has; OpenAI's own list is too long to offer."""
    if not base_url:
        return dict.fromkeys(catalog.OPENAI_MODELS)
    connection = Connection(
        name="openai",
        kind=ProviderKind.OPENAI,
        base_url=base_url,
        api_key=os.environ.get("OPENAI_API_KEY", ""),
    )
    try:
        return asyncio.run(OpenAIProvider(connection).models())
    except AppError as error:
        logger.warning("llm.models_not_listed", base_url=base_url, reason=error.message)
        return {}


@transaction.atomic
def _provision(wanted: Wanted) -> list[str]:
    if not wanted.models:
        return [f"{wanted.name}: no models known; name them in {_variable(wanted)}"]
    provider, is_new = Provider.objects.get_or_create(
        name=wanted.name,
        defaults={
            "kind": wanted.kind,
            "base_url": wanted.base_url,
            "api_version": wanted.api_version,
        },
    )
    if is_new:
        provider.credentials.create(name="main", environment_variable=wanted.api_key_env)
    vendor_id = catalog.vendor_id(wanted.kind, wanted.base_url)
    lines = []
    for model, told in wanted.models.items():
        context_tokens = told or catalog.context_tokens(vendor_id, model)
        if add_deployment(provider, model, context_tokens=context_tokens):
            price = prices.seed_from_catalog(wanted.name, vendor_id, model)
            lines.append(f"{wanted.name}: {model}{'' if price else ' (no public price)'}")
    _make_default(provider, next(iter(wanted.models)))
    return lines


def _make_default(provider: Provider, model: str) -> None:
    """Let the alias `default` mean this model, as long as it still means the demo."""
    route, _ = Route.objects.get_or_create(alias=demo.DEFAULT_ALIAS)
    steps = route.steps.select_related("deployment__provider")
    if any(step.deployment.provider.kind != ProviderKind.DEMO for step in steps):
        return
    route.steps.all().delete()
    deployment = Deployment.objects.get(provider=provider, model=model)
    RouteDeployment.objects.create(route=route, deployment=deployment)


def _variable(wanted: Wanted) -> str:
    suffix = "DEPLOYMENTS" if wanted.kind == ProviderKind.AZURE else "MODELS"
    return f"{wanted.api_key_env.removesuffix('API_KEY')}{suffix}"


def _named(variable: str, otherwise: Sequence[str] = ()) -> Mapping[str, int | None]:
    """Return the models that the variable names, in its order."""
    parts = (part.strip() for part in os.environ.get(variable, "").split(","))
    return dict.fromkeys([part for part in parts if part] or otherwise)
