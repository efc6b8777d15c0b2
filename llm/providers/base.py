"""What a provider is to the layer above it: a connection, what it serves, and one method."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from llm.types import ChatRequest, Delta, End


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A vendor's endpoint with one of its keys, as plain values."""

    name: str
    kind: str
    base_url: str = ""  # empty: the vendor's own address
    api_version: str = ""
    api_key: str = field(default="", repr=False)
    is_token: bool = False  # the key is a token of Microsoft Entra, not one of Azure's keys
    max_connections: int = 0  # at once, in each process; 0: no limit
    credential_id: int | None = None  # None: there is no key
    weight: int = 1  # its share of the calls; 0: only when there is no other
    is_set_aside: bool = False  # the vendor has refused the key, or there is none to be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a deployment may take, in seconds. The caller's deadline counts as well."""

    connect: float = 10.0
    first_token: float = 60.0  # from the call to the first content
    idle: float = 60.0  # between two pieces of a stream
    total: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model that a provider serves; the row of the same name as plain values."""

    id: int = 0
    connections: tuple[Connection, ...]  # one for each key; never empty
    model: str
    context_tokens: int | None = None
    max_output_tokens: int = 4096
    timeouts: Timeouts = Timeouts()
    takes_images: bool = True
    takes_tools: bool = True
    takes_schema: bool = True  # an answer's JSON schema

    @property
    def provider(self) -> str:
        return self.connections[0].name


class Untaken(NamedTuple):
    """A parameter of a request that a vendor cannot honour, and why."""

    param: str
    why: str  # a sentence


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """A vector for each text, and what the vendor says of the work."""

    vectors: tuple[Sequence[float], ...]
    input_tokens: int | None = None  # of all texts together; None: it does not tell
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a vendor finds wrong with a text, in its own words."""

    is_flagged: bool
    categories: tuple[str, ...] = ()


@runtime_checkable
class Lister(Protocol):
    """A provider that can say which models it has."""

    async def models(self) -> dict[str, int | None]:
        """Return the models, with their windows where the server tells them.

        Raises `ProviderError`: this is how a connection is tested.
        """
        ...


@runtime_checkable
class Embedder(Protocol):
    """A provider that can turn texts into vectors."""

    async def embed(
        self, texts: Sequence[str], deployment: Deployment, dimensions: int | None
    ) -> Vectors:
        """Return a vector for each text, in order; raise `ProviderError`."""
        ...


@runtime_checkable
class Moderator(Protocol):
    """A provider that can say what is wrong with a text."""

    async def moderate(self, text: str, deployment: Deployment) -> Verdict:
        """Return the verdict; raise `ProviderError`."""
        ...
