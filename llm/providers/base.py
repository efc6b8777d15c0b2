"""What a provider is to the layer above it: a connection, what it serves, and one method."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from llm.types import ChatRequest, Delta, End


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A vendor's endpoint with its credentials, as plain values."""

    name: str
    kind: str
    base_url: str = ""  # empty: the vendor's own address
    api_version: str = ""
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model that a connection serves; the row of the same name as plain values."""

    connection: Connection
    model: str
    context_tokens: int | None = None
    max_output_tokens: int = 4096

    @property
    def provider(self) -> str:
        return self.connection.name


class Provider(Protocol):
    """Speaks one vendor's wire format over one connection. It never retries."""

    def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the answer piece by piece, then one `End`; raise `ProviderError`.

        The first `Delta` of a stream has content: what comes before it on the wire travels in its
        `raw`. Closing the generator ends the vendor's work. An answer that breaks off raises: there
        is no `End` without the vendor's own word that it has finished.
        """
        ...
