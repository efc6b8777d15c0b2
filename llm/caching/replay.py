"""A kept answer, told again."""

import time
from collections.abc import AsyncGenerator
from uuid import UUID

from core.ids import new_id
from llm import metering
from llm.caching import books, figures, kept
from llm.caching.lookup import Lookup
from llm.types import Event, Finished, KeptAnswer, Started


async def replay(
    found: KeptAnswer,
    lookup: Lookup,
    *,
    usage_id: UUID | None = None,
    similarity: float | None = None,
) -> AsyncGenerator[Event, None]:
    """Yield a kept answer as if it came now; it is recorded and costs nothing."""
    usage_id = usage_id or new_id()
    age = max(0.0, time.time() - found.kept_at)
    await books.record(books.hit_of(found, usage_id), lookup.call, model_asked=lookup.request.model)
    result: figures.Result = "hit" if similarity is None else "semantic"
    figures.note(lookup, result, age=age, saved_usd=found.cost_usd)
    yield _started(found, usage_id, age, similarity)
    yield kept.delta_for(found, is_streamed=lookup.request.stream)
    yield Finished(
        finish_reason=found.finish_reason,
        usage=found.usage,
        is_estimated=found.is_estimated,
        cost_usd=metering.NO_COST,
        stop_sequence=found.stop_sequence,
    )


def _started(found: KeptAnswer, usage_id: UUID, age: float, similarity: float | None) -> Started:
    return Started(
        usage_id=usage_id,
        provider=found.provider,
        model=found.model,
        is_cache_hit=True,
        cache_age=age,
        similarity=similarity,
    )
