"""The calls of this process that hold a place among those allowed at once.

A place is a lease in Redis: it is renewed while its call runs, and runs out with its process.
"""

import itertools
import math
import os
from collections.abc import Sequence
from uuid import uuid4

from django.conf import settings

from core.loop_local import LoopLocal
from core.repeating import Repeating
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
        self._renewing = Repeating(self._renew, seconds=settings.LEASE_SECONDS / 3)

    def hold(self, lease: str, keys: Sequence[str]) -> None:
        """Renew the lease from now on."""
        self._held[lease] = keys
        self._renewing.begin()

    def drop(self, lease: str) -> None:
        """Renew it no more."""
        self._held.pop(lease, None)

    async def close(self) -> None:
        await self._renewing.stop()

    async def _renew(self) -> bool:
        pairs = [(key, lease) for lease, keys in self._held.items() for key in keys]
        if pairs:
            shared.renew(pairs, seconds())
        return bool(pairs)


def held() -> Leases:
    """Return this event loop's leases."""
    return _leases.get()


async def close() -> None:
    """Renew nothing any more."""
    leases = _leases.pop()
    if leases is not None:
        await leases.close()


_leases: LoopLocal[Leases] = LoopLocal(Leases)
