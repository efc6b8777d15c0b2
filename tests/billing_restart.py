"""A process of its own with a PostgreSQL of its own, which is restarted while fifty callers spend.

python -m tests.billing_restart FOLDER: prints what became of the calls, as JSON.
"""

import asyncio
import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from core import embedded, embedded_postgres

CALLERS = 50
CALLS_BEFORE = 300
CALLS_AFTER = 300


async def load(restart: Any) -> set[UUID]:
    """Return the calls that were made, with a restart in their midst."""
    from billing import ledger
    from core.errors import DependencyDown
    from tests.billing_support import attempt, make_tenant, settlement

    tenant = await asyncio.to_thread(make_tenant, "1000")
    made: set[UUID] = set()
    enough = CALLS_BEFORE

    async def caller() -> None:
        while len(made) < enough:
            one = attempt(tenant, "0.01")
            try:
                await ledger.hold(one)
            except DependencyDown:
                await asyncio.sleep(0.05)
                continue
            made.add(one.id)
            try:
                await ledger.settle(settlement(one, "0.005"))
            except DependencyDown:
                continue  # the ledger goes on trying

    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    while len(made) < CALLS_BEFORE // 2:  # noqa: ASYNC110 - callers only count
        await asyncio.sleep(0.01)
    enough = sys.maxsize
    await asyncio.to_thread(restart)
    enough = len(made) + CALLS_AFTER
    await asyncio.gather(*callers)
    await ledger.drain()
    await asyncio.to_thread(ledger.close)
    return made


def report(made: set[UUID]) -> dict[str, Any]:
    """Sweep what is open, and return what is in the books."""
    import time

    from billing import books, sweeper
    from billing.models import BudgetPeriod, UsageRecord, UsageState

    deadline = time.monotonic() + 120
    while UsageRecord.objects.filter(state=UsageState.STARTED).exists():
        assert time.monotonic() < deadline, "a hold outlived its lease"
        sweeper.sweep()
        time.sleep(0.1)
    records = UsageRecord.objects.filter(pk__in=made)
    period = BudgetPeriod.objects.get()
    return {
        "made": len(made),
        "recorded": records.count(),
        "spent": str(period.spent_usd - len(made) * Decimal("0.005")),
        "held": str(period.held_usd.normalize()),
        "others": list(UsageRecord.objects.exclude(pk__in=made).values_list("cost_usd", flat=True)),
        "differences": books.differences(),
    }


def main(folder: Path) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PARLEY_DATA_DIR": str(folder),
        "PARLEY_LEASE_SECONDS": "3",
        "PARLEY_LOG_LEVEL": "ERROR",
    }
    os.environ.pop("DATABASE_URL", None)
    with embedded.services(folder):
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        connections.close_all()  # the restart would cut it

        def restart() -> None:
            embedded_postgres.stop(folder / "postgres")
            embedded_postgres.start(folder / "postgres")

        found = report(asyncio.run(load(restart)))
        connections.close_all()
        connections["default"].close_pool()  # type: ignore[attr-defined]
    print(json.dumps(found, default=str), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
