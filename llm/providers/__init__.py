"""Vendors' wire formats, one file each."""

from collections.abc import Callable
from functools import lru_cache

from llm.models import ProviderKind
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Connection, Deployment, Provider, Timeouts
from llm.providers.demo import DemoProvider
from llm.providers.openai import AzureProvider, OpenAIProvider

__all__ = ["Connection", "Deployment", "Provider", "Timeouts", "can", "provider_for"]

KINDS: dict[str, Callable[[Connection], Provider]] = {
    ProviderKind.OPENAI: OpenAIProvider,
    ProviderKind.AZURE: AzureProvider,
    ProviderKind.ANTHROPIC: AnthropicProvider,
    ProviderKind.DEMO: DemoProvider,
}


def can(kind: str, ability: type) -> bool:
    """Return whether providers of the kind have the methods of a protocol, like `Embedder`."""
    made_by = KINDS[kind]
    return isinstance(made_by, type) and issubclass(made_by, ability)


@lru_cache(maxsize=256)
def provider_for(connection: Connection) -> Provider:
    """Return the provider that speaks over `connection`; a changed key makes a new one."""
    return KINDS[connection.kind](connection)
