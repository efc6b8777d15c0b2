"""The counters of one process, for the time when Redis is away."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from limits.aio.storage import MemoryStorage

from core.loop_local import LoopLocal
from llm.limits.windows import Correction, Seen, Want, remaining


class LocalCounters:
    """What Redis's script does, with the `limits` library's storage in memory."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._running: Counter[str] = Counter()
        self._lock = asyncio.Lock()

    async def take(self, wants: Sequence[Want]) -> list[Seen]:
        """Take everything or nothing."""
        async with self._lock:
            seen = [await self._look(want, is_taken=False) for want in wants]
            fits = [
                remaining(want, found) >= want.amount
                for want, found in zip(wants, seen, strict=True)
            ]
            if all(fits):
                for want in wants:
                    await self._take(want)
            return [
                await self._look(want, is_taken=fit) for want, fit in zip(wants, fits, strict=True)
            ]

    async def release(self, corrections: Sequence[Correction], lease_keys: Sequence[str]) -> None:
        """Correct tokens and end leases."""
        for key in lease_keys:
            self._running[key] -= 1
            if self._running[key] <= 0:
                del self._running[key]
        for correction in corrections:
            await self._correct(correction)

    async def _take(self, want: Want) -> None:
        if want.kind == "lease":
            self._running[want.key] += 1
        elif want.kind == "window":
            await self._storage.acquire_entry(want.key, want.limit, want.seconds, want.amount)
        else:
            await self._storage.acquire_sliding_window_entry(
                want.key, want.limit, want.seconds, want.amount
            )

    async def _look(self, want: Want, *, is_taken: bool) -> Seen:
        if want.kind == "lease":
            return Seen(is_taken, self._running[want.key])
        if want.kind == "window":
            began_at, used = await self._storage.get_moving_window(
                want.key, want.limit, want.seconds
            )
            left = began_at + want.seconds - time.time() if used else 0.0
            return Seen(is_taken, used, left, left if used >= want.limit else 0.0)
        before, before_left, used, left = await self._storage.get_sliding_window(
            want.key, want.seconds
        )
        return Seen(is_taken, before, before_left, used, left, time.time() + left)

    async def _correct(self, correction: Correction) -> None:
        want, tokens = correction.want, correction.tokens
        if tokens > 0:
            _, key = self._storage.sliding_window_keys(want.key, want.seconds, time.time())
            await self._storage.incr(key, 2 * want.seconds, tokens)
        else:
            # A window is kept for as long again as it lasts; this is its middle.
            middle = correction.ends_at - 1.5 * want.seconds
            _, key = self._storage.sliding_window_keys(want.key, want.seconds, middle)
            await self._storage.decr(key, -tokens)


def counters() -> LocalCounters:
    """Return the counters of this event loop, which is to say of this process."""
    return _counters.get()


_counters: LoopLocal[LocalCounters] = LoopLocal(LocalCounters)
