"""The money of one run: never more is begun than its cap can pay."""

import asyncio
from decimal import Decimal

from core.errors import AppError


class CapReached(AppError):
    """What is asked next could cost more than is left of the cap."""

    code = "cap_reached"
    http_status = 402


class Purse:
    """Holds the worst case of what runs, as the ledger does for budgets."""

    def __init__(self, *, cap: Decimal, spent: Decimal) -> None:
        self.spent = spent
        self.is_closed = False
        self._cap = cap
        self._held = Decimal(0)
        self._changed = asyncio.Condition()

    async def take(self, most: Decimal) -> None:
        """Hold the most that something can cost, when there is room; raise `CapReached`.

        While others run that may cost less than is held for them, it waits.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_decided(most))
            if self.is_closed or not self._fits(most):
                self.is_closed = True
                self._changed.notify_all()
                raise CapReached("The rest of the cap is too little for the next case.")
            self._held += most

    async def settle(self, most: Decimal, cost: Decimal) -> None:
        """Put the true cost in the place of what was held."""
        async with self._changed:
            self._held -= most
            self.spent += cost
            self._changed.notify_all()

    def _is_decided(self, most: Decimal) -> bool:
        return self.is_closed or self._fits(most) or not self._held

    def _fits(self, most: Decimal) -> bool:
        return self.spent + self._held + most <= self._cap
