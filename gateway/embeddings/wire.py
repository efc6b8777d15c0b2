"""The body of `/v1/embeddings`, strictly typed, and its answer."""

import base64
import sys
from array import array
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from gateway.embeddings.token_ids import text_of
from gateway.validation import decode
from gateway.wire import Name
from llm.embeddings import Embeddings

MOST_INPUTS = 2048  # as OpenAI has it
MOST_DIMENSIONS = 16_384

Format = Literal["float", "base64"]
# `texts` refuses what is empty in words of its own; here it is said for the schema.
Text = Annotated[str, Meta(extra_json_schema={"minLength": 1})]
Many = Annotated[
    list[Text | int | list[int]],
    Meta(extra_json_schema={"minItems": 1, "maxItems": MOST_INPUTS}),
]
Input = Text | Many


class EmbeddingRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request. `None` (or null) is as good as absent."""

    model: Name
    input: Input
    dimensions: Annotated[int, Meta(ge=1, le=MOST_DIMENSIONS)] | None = None
    encoding_format: Format | None = None
    user: str | None = None  # not passed on: callers share a vendor's call

    def texts(self) -> list[str]:
        """Return what is to be embedded; raise `InvalidRequest` by the place of what cannot be."""
        given = self.input
        if isinstance(given, str):
            texts = [given]
        elif given and all(isinstance(one, int) for one in given):
            texts = [text_of([one for one in given if isinstance(one, int)], param="input")]
        else:
            _check_count(given)
            texts = [_text(one, f"input[{index}]") for index, one in enumerate(given)]
        if "" in texts:
            param = "input" if len(texts) == 1 else f"input[{texts.index('')}]"
            raise InvalidRequest(f"`{param}` is empty.", param=param)
        return texts


class Usage(Struct):
    prompt_tokens: int
    total_tokens: int


_decoder = msgspec.json.Decoder(EmbeddingRequest)


def parse(body: bytes) -> EmbeddingRequest:
    """Return the request in `body`, or raise an error that names the field."""
    return decode(_decoder, body)


def answer(made: Embeddings, encoding_format: Format | None) -> bytes:
    """Return the body of an answer: numbers, or base64 of numbers of 32 bits, lowest byte first."""
    write = _base64 if encoding_format == "base64" else list
    count = made.usage.total_input
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": write(vector)}
        for index, vector in enumerate(made.vectors)
    ]
    return msgspec.json.encode(
        {"object": "list", "data": data, "model": made.model, "usage": Usage(count, count)}
    )


def _check_count(given: Sequence[object]) -> None:
    if not given:
        raise InvalidRequest("`input` is empty.", param="input")
    if len(given) > MOST_INPUTS:
        raise InvalidRequest(
            f"`input` has {len(given)} texts; {MOST_INPUTS} are the most.", param="input"
        )


def _text(one: str | int | list[int], param: str) -> str:
    if isinstance(one, int):
        raise InvalidRequest(
            f"`{param}` is a number among others that are none: send texts, or tokens of one text, "
            "or lists of tokens.",
            param=param,
        )
    return one if isinstance(one, str) else text_of(one, param=param)


def _base64(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
