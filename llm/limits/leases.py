"""The calls of this process that hold a place among those allowed at once.

A place is a lease in Redis: it is renewed while its call runs, and runs out with its process.
"""

import asyncio
import itertools
import math
import os
from collections.abc import Sequence
from uuid import uuid4

from django.conf import settings

from core.loop_local import LoopLocal
from llm.limits import shared

_process = uuid4().hex[:12]
_numbers = itertools.count()


def seconds() -> int:
    """Return how long a lease lasts that nobody renews."""
    return math.ceil(settings.LEASE_SECONDS)


def new() -> str:
    """Return a lease that no other call has."""
    return f"{_process}-{os.getpid()}-{next(_numbers)}"


class Leases:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._held: dict[str, Sequence[str]] = {}  # the keys of each
        self._renewing: asyncio.Task[None] | None = None

    def hold(self, lease: str, keys: Sequence[str]) -> None:
        """Renew the lease from now on."""
        self._held[lease] = keys
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew())

    def drop(self, lease: str) -> None:
        """Renew it no more."""
        self._held.pop(lease, None)

    def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()

    async def _renew(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(settings.LEASE_SECONDS / 3)
                pairs = [(key, lease) for lease, keys in self._held.items() for key in keys]
                if pairs:
                    shared.renew(pairs, seconds())
        finally:
            self._renewing = None


def held() -> Leases:
    """Return this event loop's leases."""
    return _leases.get()


def close() -> None:
    """Renew nothing any more."""
    leases = _leases.pop()
    if leases is not None:
        leases.close()


_leases: LoopLocal[Leases] = LoopLocal(Leases)
