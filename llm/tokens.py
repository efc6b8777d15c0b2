"""How many tokens a text is, counted offline.

Exact for OpenAI's models (their own encodings). Other vendors keep their tokenizers to themselves:
their models are counted with `o200k_base`, within about 20% of the truth for English, and the
vendor's own report replaces the estimate where there is one.
"""

import warnings
from functools import cache
from typing import Protocol

import msgspec
from asgiref.sync import sync_to_async

from llm.types import ChatRequest, ImagePart, Message

# The longest prefix that fits wins; what fits none is counted with DEFAULT.
ENCODINGS = {
    "gpt-4": "cl100k_base",
    "gpt-4o": "o200k_base",
    "gpt-4.": "o200k_base",
    "gpt-3.5": "cl100k_base",
    "gpt-35": "cl100k_base",  # Azure's spelling
    "text-embedding-": "cl100k_base",
}
DEFAULT = "o200k_base"
PIECE = 50_000  # characters: at most the 200,000 tokens that the tokenizer takes at once
LONG = 20_000  # characters; below, counting takes less than a switch to a thread is worth
PER_MESSAGE = 4  # what the chat format puts around a message
PER_REQUEST = 3  # and before the answer
PER_IMAGE = 1_100  # OpenAI's 765 to 1,445 for a large picture in high detail


class Encoding(Protocol):
    def encode_ordinary(self, text: str) -> list[int]:
        """Return the tokens; words that mean something to a model are taken as plain text."""
        ...


def count(text: str, model: str) -> int:
    """Return how many tokens `text` is to `model`."""
    encoding = _encoding_for(model)
    if len(text) <= PIECE:
        return len(encoding.encode_ordinary(text))
    pieces = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces)


def count_request(request: ChatRequest, model: str) -> int:
    """Return how many tokens of input `request` is to `model`, pictures and tools included."""
    text, overhead = _flatten(request)
    return count(text, model) + overhead


async def count_request_soon(request: ChatRequest, model: str) -> int:
    """Return `count_request` without holding up the event loop over a long text."""
    text, overhead = _flatten(request)
    return await count_soon(text, model) + overhead


async def count_soon(text: str, model: str) -> int:
    """Return `count` without holding up the event loop over a long text."""
    if len(text) < LONG:
        return count(text, model)
    return await sync_to_async(count, thread_sensitive=False)(text, model)


def preload() -> None:
    """Read the tables that every model needs; that takes half a second each."""
    _encoding(DEFAULT)


def _flatten(request: ChatRequest) -> tuple[str, int]:
    """Return all words of a request as one text, and the tokens that are not words."""
    words: list[str] = []
    overhead = PER_REQUEST
    for message in request.messages:
        overhead += PER_MESSAGE + _add_words(message, words)
    if request.tools:
        words.append(msgspec.json.encode(request.tools).decode())
    if request.response_format:
        words.append(msgspec.json.encode(request.response_format).decode())
    return "\n".join(words), overhead


def _add_words(message: Message, words: list[str]) -> int:
    """Append the message's words; return the tokens of its pictures."""
    images = 0
    if isinstance(message.content, str):
        words.append(message.content)
    for part in message.content or () if not isinstance(message.content, str) else ():
        if isinstance(part, ImagePart):
            images += 1
        else:
            words.append(part.text)
    if message.name:
        words.append(message.name)
    for call in message.tool_calls or ():
        words += (call.function.name, call.function.arguments)
    return images * PER_IMAGE


@cache
def _encoding_for(model: str) -> Encoding:
    name = model.rpartition("/")[2].removeprefix("ft:").lower()
    fitting = [prefix for prefix in ENCODINGS if name.startswith(prefix)]
    return _encoding(ENCODINGS[max(fitting, key=len)] if fitting else DEFAULT)


@cache
def _encoding(name: str) -> Encoding:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how it opens its own files
        from bpe_openai import get_encoding  # noqa: PLC0415 - reads tables for half a second

        return get_encoding(name)  # type: ignore[no-any-return]
