"""Answers that were given before to the very same request of the same organization."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from core import redis
from core.batching import Batcher
from core.loop_local import LoopLocal
from llm.caching import kept
from llm.caching.lookup import Lookup
from llm.caching.redis_outage import ask
from llm.routing.routes import Route
from llm.types import Call, ChatRequest, Event, Finished, KeptAnswer


class Entry(NamedTuple):
    """An answer to be kept."""

    key: str
    encoded: bytes
    seconds: int


# What an answer carries only in the vendor's own bytes, which cannot be told in the other form.
ONLY_IN_ITS_FORM = ("logprobs", "top_logprobs")

# Fields in the order they were sent: a model fills in a schema in the order of its properties.
_canonical = msgspec.json.Encoder().encode


def key_for(request: ChatRequest, call: Call, route: Route, *, purge: int) -> str:
    """Return the key of the answer.

    The tenant and everything that could change the answer are in it: the whole request, the
    prompt's version, the task and who would answer. Whether it is streamed changes only its form.
    """
    has_two_forms = not any(name in request.extra for name in ONLY_IN_ITS_FORM)
    question = replace(request, stream=False) if has_two_forms else request
    prompt = (call.prompt.name, call.prompt.version) if call.prompt else None
    whole = (call.principal.organization_id, purge, prompt, call.task, _answerers(route), question)
    return redis.key("answer", hashlib.sha256(_canonical(whole)).hexdigest())


async def get(key: str, max_age: int | None = None) -> KeptAnswer | None:
    """Return the answer kept under `key`, unless it is older than `max_age` seconds."""
    stored = await _lookups.get().submit(key)
    answer = kept.decode(stored) if stored else None
    if answer is None or (max_age is not None and time.time() - answer.kept_at > max_age):
        return None
    return answer


async def put(entry: Entry) -> None:
    """Keep an answer."""
    await ask(lambda client: client.set(entry.key, entry.encoded, ex=entry.seconds))


def entry_of(lookup: Lookup, events: Sequence[Event]) -> Entry | None:
    """Return what is kept of an answer that has ended, if anything is."""
    *_, end = events
    if not (lookup.policy.writes and isinstance(end, Finished) and lookup.policy.keeps(end)):
        return None
    whole = kept.answer_of(events, is_streamed=lookup.request.stream)
    encoded = kept.encode(whole) if whole else None
    return Entry(lookup.key, encoded, lookup.policy.seconds) if encoded else None


def _answerers(route: Route) -> list[tuple[object, ...]]:
    deployments = [step.deployment for step in route.steps]
    return [
        (
            *(deployment.id, deployment.provider, deployment.model),
            *(deployment.max_output_tokens, deployment.connections[0].base_url),
        )
        for deployment in deployments
    ]


async def _look_up(keys: Sequence[str]) -> Sequence[bytes | None]:
    found: Any = await ask(lambda client: client.mget(keys))
    return found or [None] * len(keys)


# Lookups of the same moment are one command: at 3,000 a second each would cost as much as a call.
_lookups: LoopLocal[Batcher[str, bytes | None]] = LoopLocal(lambda: Batcher(_look_up))
