"""OpenAI's embeddings: texts in, a vector for each out."""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from msgspec import Struct

from billing.pricing import TokenUsage
from llm.errors import MalformedAnswer
from llm.providers import classify, http
from llm.providers.base import Timeouts, Vectors
from llm.providers.usage import credible

LARGE = 500_000  # bytes; below, reading the answer takes less than a switch to a thread is worth


class Item(Struct):
    embedding: str | list[float]  # servers may answer with numbers although they are asked for text
    index: int | None = None


class Usage(Struct):
    prompt_tokens: int = 0


class Answer(Struct):
    data: list[Item] = []
    model: str = ""
    usage: Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(Answer).decode
_encode = msgspec.json.Encoder().encode


async def embed(
    target: http.Endpoint,
    texts: Sequence[str],
    *,
    model: str,
    dimensions: int | None,
    encoding_format: str,
    timeouts: Timeouts,
) -> Vectors:
    """Return the vectors in the order of the texts; raise `ProviderError`."""
    body: dict[str, Any] = {"model": model, "input": texts, "encoding_format": encoding_format}
    if dimensions is not None:
        body["dimensions"] = dimensions
    async with http.post(target, _encode(body), is_streamed=False, timeouts=timeouts) as answer:
        received = await answer.read()
    if len(received) < LARGE:
        return _read(target.provider, received, len(texts))
    read = sync_to_async(_read, thread_sensitive=False)
    return await read(target.provider, received, len(texts))


def _read(provider: str, received: bytes, count: int) -> Vectors:
    unreadable = f"The provider {provider} sent embeddings that cannot be read."
    try:
        answer = _decode(received)
        if answer.error is not None:
            raise classify.in_answer(provider, answer.error)
        vectors = [_vector(item.embedding) for item in _ordered(answer.data)]
    except (msgspec.DecodeError, ValueError, binascii.Error, RecursionError) as error:
        raise MalformedAnswer(unreadable) from error
    if len(vectors) != count or not all(map(_is_sound, vectors, vectors[:1] * count)):
        raise MalformedAnswer(unreadable)
    usage = TokenUsage(input_tokens=answer.usage.prompt_tokens if answer.usage else 0)
    reported = credible(usage, has_content=False)
    return Vectors(
        vectors=tuple(vectors),
        input_tokens=reported.input_tokens if reported else None,
        model=answer.model,
    )


def _ordered(items: list[Item]) -> list[Item]:
    """Return the items as their numbers say, where they have any."""
    if all(item.index is None for item in items):
        return items
    by_index = {item.index: item for item in items}
    if sorted(by_index, key=lambda index: -1 if index is None else index) != [*range(len(items))]:
        raise ValueError("The numbers of the vectors are not those of the texts.")
    return [by_index[index] for index in range(len(items))]


def _vector(embedding: str | list[float]) -> "array[float]":
    if isinstance(embedding, list):
        return array("f", embedding)
    vector = array("f", base64.b64decode(embedding, validate=True))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _is_sound(vector: "array[float]", first: "array[float]") -> bool:
    """Return whether a vector has numbers, all finite, and as many as the first one."""
    return 0 < len(vector) == len(first) and math.isfinite(sum(vector))
