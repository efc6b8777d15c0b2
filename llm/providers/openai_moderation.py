"""OpenAI's moderation: a text in, what is wrong with it out."""

from typing import Any

import msgspec
from msgspec import Struct

from llm.errors import MalformedAnswer
from llm.providers import classify, http
from llm.providers.base import Timeouts, Verdict


class Result(Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}


class Answer(Struct):
    results: list[Result] = []
    error: Any = None


_decode = msgspec.json.Decoder(Answer).decode
_encode = msgspec.json.Encoder().encode


async def moderate(target: http.Endpoint, text: str, *, model: str, timeouts: Timeouts) -> Verdict:
    """Return the verdict; raise `ProviderError`."""
    body = _encode({"model": model, "input": text})
    async with http.post(target, body, is_streamed=False, timeouts=timeouts) as answer:
        received = await answer.read()
    try:
        read = _decode(received)
    except classify.UNREADABLE as error:
        raise _unreadable(target.provider) from error
    if read.error is not None:
        raise classify.in_answer(target.provider, read.error)
    if not read.results:
        raise _unreadable(target.provider)
    categories = {name for one in read.results for name, is_so in one.categories.items() if is_so}
    return Verdict(
        is_flagged=any(one.flagged for one in read.results), categories=tuple(sorted(categories))
    )


def _unreadable(provider: str) -> MalformedAnswer:
    return MalformedAnswer(f"The provider {provider} sent a moderation that cannot be read.")
