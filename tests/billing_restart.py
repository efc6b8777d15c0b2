"""A process of its own with a PostgreSQL of its own, which is restarted while fifty callers spend.

python -m tests.billing_restart FOLDER END…: prints what became of the calls, as JSON. An END is
"stop" (in order), "crash" (PostgreSQL's immediate shutdown) or "kill" (of its first process).
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from core import embedded, embedded_postgres

if TYPE_CHECKING:
    from tests.billing_support import Tenant

CALLERS = 50
CALLS_BEFORE = 150  # each end
CALLS_AFTER = 300  # the last
LATE_CALLS = 20


@dataclass
class Calls:
    """What the callers were told."""

    made: set[UUID] = field(default_factory=set)  # of whose hold they know
    settled: int = 0


async def load(restarts: Sequence[Callable[[], None]]) -> Calls:
    """Return the calls that were made, with restarts in their midst."""
    from billing import ledger
    from core.errors import DependencyDown
    from tests.billing_support import attempt, make_tenant, settlement

    tenant = await asyncio.to_thread(make_tenant, "1000")
    calls = Calls()
    enough = sys.maxsize

    async def caller() -> None:
        while len(calls.made) < enough:
            one = attempt(tenant, "0.01")
            try:
                await ledger.hold(one)
            except DependencyDown:
                await asyncio.sleep(0.05)
                continue
            calls.made.add(one.id)
            try:
                await ledger.settle(settlement(one, "0.005"))
            except DependencyDown:
                continue  # the ledger goes on trying
            calls.settled += 1

    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    for restart in restarts:
        so_many = calls.settled + CALLS_BEFORE
        while calls.settled < so_many:  # noqa: ASYNC110 - callers only count
            await asyncio.sleep(0.01)
        await asyncio.to_thread(restart)
    enough = len(calls.made) + CALLS_AFTER
    await asyncio.gather(*callers)
    await settle_late(tenant, calls, restarts[-1])
    await ledger.drain()
    await asyncio.to_thread(ledger.close)
    return calls


async def settle_late(tenant: "Tenant", calls: Calls, restart: Callable[[], None]) -> None:
    """Let calls begin just before an end, when nothing has carried their holds to the disk."""
    from billing import ledger
    from tests.billing_support import attempt, settlement

    late = [attempt(tenant, "0.01") for _ in range(LATE_CALLS)]
    await asyncio.gather(*(ledger.hold(one) for one in late))
    calls.made |= {one.id for one in late}
    await asyncio.to_thread(restart)
    await asyncio.gather(*(ledger.settle(settlement(one, "0.005")) for one in late))


def report(calls: Calls) -> dict[str, Any]:
    """Sweep what is open, and return what is in the books."""
    import time

    from billing import books, sweeper
    from billing.models import BudgetPeriod, UsageRecord, UsageState

    deadline = time.monotonic() + 120
    while UsageRecord.objects.filter(state=UsageState.STARTED).exists():
        assert time.monotonic() < deadline, "a hold outlived its lease"
        sweeper.sweep()
        time.sleep(0.1)
    costs = dict(UsageRecord.objects.values_list("pk", "cost_usd"))
    period = BudgetPeriod.objects.get()
    lost = calls.made - costs.keys()
    return {
        "made": len(calls.made),
        "lost": len(lost),
        "costs": sorted({f"{costs[one]:.3f}" for one in calls.made - lost}),
        "spent": str(period.spent_usd - len(calls.made - lost) * Decimal("0.005")),
        "held": str(period.held_usd.normalize()),
        "others": [cost for one, cost in costs.items() if one not in calls.made],
        "differences": books.differences(),
    }


def end(how: str, folder: Path) -> None:
    """Let PostgreSQL end: in order, or as a crash would have it."""
    if how == "stop":
        embedded_postgres.stop(folder)
        return
    pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT if how == "crash" else signal.SIGKILL)
    subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], check=True)  # until it has gone


def main(folder: Path, ends: Sequence[str]) -> None:
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

        def restart(how: str) -> None:
            end(how, folder / "postgres")
            embedded_postgres.start(folder / "postgres")

        found = report(asyncio.run(load([partial(restart, how) for how in ends])))
        connections.close_all()
        connections["default"].close_pool()  # type: ignore[attr-defined]
    print(json.dumps(found, default=str), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
