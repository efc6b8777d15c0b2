"""Takes what a call needs of all its counters, or nothing; corrects it when the call is over."""

from collections.abc import Sequence

from msgspec import Struct

from core.open_work import OpenWork
from core.outage import RedisAway
from llm.limits import leases, local, shared
from llm.limits.windows import Correction, Seen, Want

_open_work = OpenWork()  # what is still to be told to the counters of this process


class Taken(Struct, frozen=True):
    """What a call has taken, or would have if all had fitted."""

    wants: Sequence[Want]
    seen: Sequence[Seen]
    lease: str
    is_shared: bool  # through Redis

    @property
    def is_refused(self) -> bool:
        return not all(seen.is_taken for seen in self.seen)


async def take(wants: Sequence[Want]) -> Taken:
    """Take everything or nothing; while Redis is away, of this process's own counters."""
    lease = leases.new()
    try:
        with shared.outage.asking():
            seen = await shared.take(wants, lease)
    except RedisAway:
        return Taken(wants, await local.counters().take(wants), lease, is_shared=False)
    taken = Taken(wants, seen, lease, is_shared=True)
    if not taken.is_refused and (keys := _lease_keys(wants)):
        leases.held().hold(lease, keys)
    return taken


def release(taken: Taken, tokens: int | None) -> None:
    """End the call's leases and correct its tokens, soon; `None` keeps the estimate."""
    corrections = _corrections(taken, tokens)
    keys = _lease_keys(taken.wants)
    if not corrections and not keys:
        return
    if taken.is_shared:
        leases.held().drop(taken.lease)
        shared.release(corrections, keys, taken.lease)
    else:
        _open_work.go_on(local.counters().release(corrections, keys))


async def close() -> None:
    """Return when all that was released has been told."""
    await leases.close()
    await _open_work.finish()
    await shared.close()


def _corrections(taken: Taken, tokens: int | None) -> list[Correction]:
    if tokens is None:
        return []
    return [
        Correction(want, tokens - want.amount, seen.e)
        for want, seen in zip(taken.wants, taken.seen, strict=True)
        if want.figure == "tokens" and tokens != want.amount
    ]


def _lease_keys(wants: Sequence[Want]) -> list[str]:
    return [want.key for want in wants if want.kind == "lease"]
