"""How likely each token was, read from the vendor's own bytes: nobody else has it."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field

DATA = b"data:"


class TopLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = field(default_factory=list)


class Content(Struct):
    content: list[Logprob] | None = None


class Choice(Struct):
    logprobs: Content | None = None


class Document(Struct):
    """A chunk of a stream, or a whole answer."""

    choices: list[Choice]


_document = msgspec.json.Decoder(Document)


def read(raw: bytes | None) -> list[Logprob]:
    """Return what a delta's bytes tell; nothing where the vendor tells nothing."""
    return [found for document in _documents(raw or b"") for found in _of(document)]


def _documents(raw: bytes) -> Iterator[bytes]:
    if raw.lstrip().startswith(b"{"):
        yield raw
        return
    for line in raw.splitlines():
        if line.startswith(DATA):
            yield line.removeprefix(DATA)


def _of(document: bytes) -> Iterator[Logprob]:
    try:
        choices = _document.decode(document).choices
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    for choice in choices:
        for found in (choice.logprobs and choice.logprobs.content) or ():
            # OpenAI's responses have a list here in any case.
            found.bytes = found.bytes or []
            yield found
