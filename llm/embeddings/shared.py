"""One vendor call for several callers of an organization; each has its own books and its own end.

Callers who come within `WAIT` go together, as far as the vendor takes it. Each one holds the worst
case of its own texts, and pays its share of the tokens that the vendor reports. A text that the
vendor refuses must not be everybody's: then each is asked for alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

from billing.pricing import TokenUsage
from core.errors import own
from core.loop_local import LoopLocal
from llm import metering
from llm.attempts import retrying
from llm.attempts.retrying import Failed, Turn
from llm.errors import ContentFiltered, ContextTooLong, RequestRefused
from llm.metering import Meter
from llm.providers import Deployment, Provider
from llm.providers.base import Embedder, Vectors
from llm.types import Call, End, Finished, Started

WAIT = 0.005  # seconds for others to come along
MOST_INPUTS = 2048  # texts in a call to OpenAI; others take no fewer tokens
MOST_TOKENS = 300_000
OWN_FAULT = (RequestRefused, ContextTooLong, ContentFiltered)

Key = tuple[int, Deployment, int | None]


@dataclass(frozen=True, slots=True)
class Part:
    """What a caller wants of one vendor call: no more than that takes."""

    call: Call
    model: str  # as asked for
    texts: Sequence[str]
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of a part, and its share of the cost."""

    vectors: tuple[Sequence[float], ...]
    started: Started  # who made them, and for whom it is booked
    finished: Finished
    meter: Meter


class Share:
    """A caller's part of a call that is about to be made."""

    def __init__(self, part: Part, turn: Turn) -> None:
        self.part = part
        self.turn = turn
        self.made: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()

    @property
    def tokens(self) -> int:
        return self.turn.fitting.input_tokens

    async def hold(self) -> Meter:
        meter = await retrying.meter_for(self.part.call, self.turn, model=self.part.model)
        await meter.hold()
        return meter

    def fail(self, error: BaseException) -> None:
        if self.made.done():  # its caller has left
            return
        if isinstance(error, asyncio.CancelledError):
            self.made.cancel()
        else:
            self.made.set_exception(own(error) if isinstance(error, Exception) else error)


class Gathering:
    """Callers who wait for others to come along, in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Key, list[Share]] = {}

    def join(self, key: Key, share: Share) -> None:
        """Let `share` go with those that wait for the same, or wait itself."""
        shares = self._waiting.get(key)
        if shares is not None and not _has_room(shares, share):
            self._go(key, shares)
            shares = None
        if shares is None:
            shares = self._waiting[key] = []
            asyncio.get_running_loop().call_later(WAIT, self._go, key, shares)
        shares.append(share)

    def _go(self, key: Key, shares: list[Share]) -> None:
        if self._waiting.get(key) is shares:
            del self._waiting[key]
            metering.go_on(_make(key, shares))


_gatherings: LoopLocal[Gathering] = LoopLocal(Gathering)


async def embed(part: Part, turn: Turn) -> Embedded:
    """Return the part's vectors; raise `Failed`, or why nothing could be held.

    What a caller who leaves has begun is finished and paid, for it is others' as well.
    """
    share = Share(part, turn)
    key = (part.call.principal.organization_id, turn.fitting.deployment, part.dimensions)
    _gatherings.get().join(key, share)
    return await share.made


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Return `total` in parts as large as the weights say; the last one has what is left over."""
    whole = sum(weights) or 1
    parts = [total * weight // whole for weight in weights[:-1]]
    return [*parts, total - sum(parts)]


def _has_room(shares: Sequence[Share], share: Share) -> bool:
    together = [*shares, share]
    return (
        sum(len(one.part.texts) for one in together) <= MOST_INPUTS
        and sum(one.tokens for one in together) <= MOST_TOKENS
    )


async def _make(key: Key, shares: Sequence[Share]) -> None:
    """Make one call for all who have not left meanwhile and whose budgets have room."""
    held = await _hold([share for share in shares if not share.made.done()])
    try:
        if held:
            await _ask(key, held)
    except Failed as failed:
        if len(held) > 1 and isinstance(failed.error, OWN_FAULT):
            await asyncio.gather(*(_make(key, [share]) for share in held))
        for share in held:
            share.fail(Failed(own(failed.error), has_other_key=failed.has_other_key))
    except BaseException as error:
        for share in held:
            share.fail(error)
        raise


async def _hold(shares: Sequence[Share]) -> dict[Share, Meter]:
    """Return who holds what the call costs at most; tell the others why they do not."""
    holds = await asyncio.gather(*(share.hold() for share in shares), return_exceptions=True)
    held = {}
    for share, hold in zip(shares, holds, strict=True):
        if isinstance(hold, BaseException):
            share.fail(hold)
        else:
            held[share] = hold
    return held


async def _ask(key: Key, held: dict[Share, Meter]) -> None:
    _, deployment, dimensions = key

    async def work(provider: Provider) -> tuple[Vectors, list[End]]:
        texts = [text for share in held for text in share.part.texts]
        made = await cast(Embedder, provider).embed(texts, deployment, dimensions)
        return made, _ends(made, [share.tokens for share in held])

    made, bills = await retrying.booked(deployment, list(held.values()), work)
    vectors = iter(made.vectors)
    for (share, meter), bill in zip(held.items(), bills, strict=True):
        own = tuple(islice(vectors, len(share.part.texts)))
        if bill is not None and not share.made.done():
            started = Started(
                usage_id=meter.usage_id,
                provider=deployment.provider,
                model=made.model or deployment.model,
                room_usd=meter.room_usd,
            )
            share.made.set_result(Embedded(own, started, bill, meter))


def _ends(made: Vectors, tokens: Sequence[int]) -> list[End]:
    """Return an end for each share; what the vendor does not report, its books count."""
    model = made.model or None
    if made.input_tokens is None:
        return [End(finish_reason="stop", model=model) for _ in tokens]
    return [
        End(finish_reason="stop", usage=TokenUsage(input_tokens=share), model=model)
        for share in split(made.input_tokens, tokens)
    ]
