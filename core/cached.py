"""Settings that staff edit, read on the hot path: at most a second old in every process."""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from asgiref.sync import sync_to_async

from core.database import translate_outage
from core.loop_local import LoopLocal

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MAX_AGE = 0.8  # seconds; what an edit promises is "in force within a second"
MAX_ENTRIES = 10_000

clock = time.monotonic  # seconds; tests move it on


class Cached(Generic[Key, Value]):
    """Remember what `load(key)` returned for `MAX_AGE`; concurrent readers share one load.

    There is nothing to invalidate: an edit is seen when the age is up, in every process alike.
    """

    def __init__(self, load: Callable[[Key], Value]) -> None:
        self._load = load
        self._values: dict[Key, tuple[float, Value]] = {}
        self._loading: LoopLocal[dict[Key, asyncio.Task[Value]]] = LoopLocal(dict)

    async def get(self, key: Key) -> Value:
        """Return the value for `key`; raise what `load` raises (errors are not remembered)."""
        known = self._values.get(key)
        if known is not None and clock() < known[0]:
            return known[1]
        loading = self._loading.get()
        task = loading.get(key)
        if task is None:
            task = loading[key] = asyncio.create_task(self._refresh(key))
        return await asyncio.shield(task)

    def knows(self, key: Key) -> bool:
        """Return whether there was a value for `key`, however old it is by now."""
        return key in self._values

    def clear(self) -> None:
        """Forget everything, for tests and for a change made in this process."""
        self._values.clear()

    async def _refresh(self, key: Key) -> Value:
        started = clock()  # the value is as old as its query
        try:
            # Callers share this load, so it may not wait for the thread that one of them blocks.
            value = await sync_to_async(self._load_now, thread_sensitive=False)(key)
        finally:
            self._loading.get().pop(key, None)
        if len(self._values) >= MAX_ENTRIES:
            self._values.clear()
        self._values[key] = (started + MAX_AGE, value)
        return value

    def _load_now(self, key: Key) -> Value:
        with translate_outage():
            return self._load(key)
