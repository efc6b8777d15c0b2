"""The counters that all processes share: one script in Redis for each call, sent in batches."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from django.conf import settings
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from core import redis
from core.batching import Batcher
from core.loop_local import LoopLocal
from core.outage import AWAY, Outage
from llm.limits import script
from llm.limits.windows import Correction, Seen, Want

logger = structlog.get_logger(__name__)

outage = Outage("llm.limits")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Seen]).decode


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the digest by which Redis knows it once it has seen it."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


class Command(Struct, frozen=True):
    """A run of a script."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Any]


TAKE, RELEASE, RENEW = Script(script.TAKE), Script(script.RELEASE), Script(script.RENEW)


async def take(wants: Sequence[Want], lease: str) -> list[Seen]:
    """Take everything or nothing; raise one of `AWAY` where Redis does not answer.

    A caller who leaves meanwhile takes nothing.
    """
    figures = [(want.kind, want.limit, want.seconds, want.amount) for want in wants]
    keys = [want.key for want in wants]
    future = _batchers.get().enqueue(Command(TAKE, keys, (_encode(figures), lease)))
    try:
        answer = await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda done: _give_back(done, wants, lease))
        raise
    return _decode(answer)


def release(corrections: Sequence[Correction], lease_keys: Sequence[str], lease: str) -> None:
    """Correct tokens and end leases, soon; what Redis does not hear of runs out by itself."""
    keys = [*(correction.want.key for correction in corrections), *lease_keys]
    changes = [(each.want.seconds, each.tokens, each.ends_at) for each in corrections]
    _soon(Command(RELEASE, keys, (_encode(changes), lease)))


def renew(leases: Sequence[tuple[str, str]], seconds: int) -> None:
    """Renew leases, given as pairs of key and lease."""
    keys = [key for key, _ in leases]
    _soon(Command(RENEW, keys, (seconds, *(lease for _, lease in leases))))


async def close() -> None:
    """Return when all that was begun is done."""
    while (batcher := _batchers.pop()) is not None:
        await batcher.drain()
        await asyncio.sleep(0)  # who has left may have something to give back


def _soon(command: Command) -> None:
    _batchers.get().enqueue(command).add_done_callback(_note)


def _note(done: "asyncio.Future[Any]") -> None:
    """Look at the result of what nobody waits for."""
    error = None if done.cancelled() else done.exception()
    if isinstance(error, AWAY):
        outage.began(error)
    elif error is not None:
        logger.error("llm.limits_broken", exc_info=error)


def _give_back(done: "asyncio.Future[Any]", wants: Sequence[Want], lease: str) -> None:
    if done.cancelled() or done.exception() is not None:
        return
    pairs = list(zip(wants, _decode(done.result()), strict=True))
    if all(seen.is_taken for _, seen in pairs):
        corrections = [
            Correction(want, -want.amount, seen.e) for want, seen in pairs if want.kind == "counter"
        ]
        release(corrections, [want.key for want in wants if want.kind == "lease"], lease)


async def _run(commands: Sequence[Command]) -> list[Any]:
    """Send them in one round trip; two more where Redis does not know a script yet."""
    client = redis.client()
    async with asyncio.timeout(settings.REDIS_PATIENCE_SECONDS):
        results = await _send(client, commands)
        unknown = [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            for text in {commands[i].script.text for i in unknown}:
                await client.script_load(text)
            again = await _send(client, [commands[i] for i in unknown])
            for i, result in zip(unknown, again, strict=True):
                results[i] = result
    return results


async def _send(client: Redis, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for each in commands:
        pipeline.evalsha(each.script.digest, len(each.keys), *each.keys, *each.arguments)
    return await pipeline.execute(raise_on_error=False)


_batchers: LoopLocal[Batcher[Command, Any]] = LoopLocal(lambda: Batcher(_run, max_size=100))
