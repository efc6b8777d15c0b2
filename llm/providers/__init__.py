"""Vendors' wire formats, one file each."""

from collections.abc import Callable
from functools import lru_cache

from llm.models import ProviderKind
from llm.providers import anthropic_parameters, demo
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Connection, Deployment, Provider, Timeouts, Untaken
from llm.providers.openai import AzureProvider, OpenAIProvider
from llm.types import ChatRequest

__all__ = [
    "Connection",
    "Deployment",
    "Provider",
    "Timeouts",
    "Untaken",
    "can",
    "provider_for",
    "untaken",
]

KINDS: dict[str, Callable[[Connection], Provider]] = {
    ProviderKind.OPENAI: OpenAIProvider,
    ProviderKind.AZURE: AzureProvider,
    ProviderKind.ANTHROPIC: AnthropicProvider,
    ProviderKind.DEMO: demo.DemoProvider,
}
# Kinds that are not listed pass every parameter on: their vendors refuse what they do not know.
UNTAKEN: dict[str, Callable[[ChatRequest], Untaken | None]] = {
    ProviderKind.ANTHROPIC: anthropic_parameters.untaken,
    ProviderKind.DEMO: demo.untaken,
}


def untaken(kind: str, request: ChatRequest) -> Untaken | None:
    """Return a parameter that providers of the kind would drop; `None`: they honour them all."""
    if request.anthropic and kind != ProviderKind.ANTHROPIC:
        return Untaken(next(iter(request.anthropic)), "It needs a model at Anthropic.")
    check = UNTAKEN.get(kind)
    return check(request) if check else None


def can(kind: str, ability: type) -> bool:
    """Return whether providers of the kind have the methods of a protocol, like `Embedder`."""
    made_by = KINDS[kind]
    return isinstance(made_by, type) and issubclass(made_by, ability)


@lru_cache(maxsize=256)
def provider_for(connection: Connection) -> Provider:
    """Return the provider that speaks over `connection`; a changed key makes a new one."""
    return KINDS[connection.kind](connection)
