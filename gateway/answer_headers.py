"""What the headers of an answer say: who answered, from where, at what cost, with which room."""

from decimal import Decimal

from billing.money import exactly
from gateway.errors import Headers
from llm.types import Finished, Started

EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects would defeat streaming
]


def of_stream(started: Started) -> Headers:
    """Return what is known when a stream begins."""
    return [*_about(started), *_room(started.room_usd)]


def of_whole(started: Started, finished: Finished) -> Headers:
    """Return what is known when an answer has ended."""
    return [*_about(started), *_cost(finished), *_room(room_after(started, finished))]


def room_after(started: Started, finished: Finished) -> Decimal | None:
    """Return what an answer leaves on hard budgets, in US dollars; `None`: as in `Finished`.

    What several calls took together has no room of its own: then it is that of the first hold.
    """
    return started.room_usd if finished.room_usd is None else finished.room_usd


def _about(started: Started) -> Headers:
    headers = [
        (b"x-parley-usage-id", str(started.usage_id).encode()),
        (b"x-parley-provider", started.provider.encode()),
        (b"x-parley-model", started.model.encode()),
        (b"x-parley-cache", _cache_result(started)),
    ]
    if started.cache_age is not None:
        headers.append((b"age", b"%d" % started.cache_age))
    if started.similarity is not None:
        headers.append((b"x-parley-cache-similarity", b"%.4f" % started.similarity))
    return headers


def _cache_result(started: Started) -> bytes:
    if not started.is_cache_hit:
        return b"miss"
    if started.similarity is not None:
        return b"semantic"
    return b"shared" if started.is_shared else b"hit"


def _cost(finished: Finished) -> Headers:
    """Return nothing for a model without a price: unknown is not 0."""
    if finished.cost_usd is None:
        return []
    return [(b"x-parley-cost-usd", exactly(finished.cost_usd).encode())]


def _room(room_usd: Decimal | None) -> Headers:
    """Return nothing where no hard budget applies, or none was asked."""
    if room_usd is None:
        return []
    return [(b"x-parley-budget-remaining-usd", exactly(room_usd).encode())]
