"""`python bench/ledger.py`: what the ledger alone takes for a hold and its settlement.

Time for a caller alone, CPU time of Python and of PostgreSQL for so many callers at once, and both
for calls that arrive at a fixed rate, whose vendor takes a while.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import installation, processes  # noqa: E402 - the root is on the path only now

if TYPE_CHECKING:
    from billing.entries import Attempt, Settlement

NOWHERE = "http://127.0.0.1:9/v1"  # nobody is called
ALONE = 1000  # calls
CALLERS = (1, 4, 16, 64)
EACH = 100  # calls of each caller, or more of a few
ROUNDS = 3
RATE = 1000  # calls/s that arrive, however long the ones before take
SECONDS = 5
VENDORS = (0.1, 1.0)  # seconds from a hold to its settlement


def main() -> None:
    with installation.fresh(NOWHERE) as made:
        import uvloop  # noqa: PLC0415 - Django's settings are set only now

        organization_id = _organization_id()
        uvloop.run(_measure(organization_id, made.postgres))


async def _measure(organization_id: int, postgres: psutil.Process) -> None:
    from billing import ledger  # noqa: PLC0415

    await _calls(organization_id, callers=8, each=50)  # warm-up: plans, connection, period
    times = [await _timed(organization_id) for _ in range(ALONE)]
    for name, column in zip(("hold", "settle", "cache hit"), zip(*times, strict=True), strict=True):
        print(f"{name:<12}{statistics.median(column) * 1e3:>8.2f} ms alone, p50")
    for callers in CALLERS:
        each = max(EACH, ALONE // callers)
        rounds = [await _cpu(organization_id, callers, each, postgres) for _ in range(ROUNDS)]
        python, server, rate = (statistics.median(column) for column in zip(*rounds, strict=True))
        cpu = f"{python:.0f} + {server:.0f} µs of Python + PostgreSQL a call"
        print(f"{callers:>4} callers{rate:>8,.0f} calls/s, {cpu}")
    for vendor in VENDORS:
        for _ in range(ROUNDS):
            print(await _open_load(organization_id, vendor, postgres))
    await ledger.drain()
    ledger.close()


async def _open_load(organization_id: int, vendor: float, postgres: psutil.Process) -> str:
    """Return what calls take that arrive evenly; the CPU without what it takes to make them."""
    count = RATE * SECONDS
    own = time.process_time()
    await _arrivals(organization_id, vendor, count, books=False)
    making = time.process_time() - own
    server, own = processes.cpu_seconds(postgres), time.process_time()
    times = await _arrivals(organization_id, vendor, count, books=True)
    python = (time.process_time() - own - making) / count * 1e6
    postgres_cpu = (processes.cpu_seconds(postgres) - server) / count * 1e6
    hold, settle = ([seconds * 1e3 for seconds in column] for column in zip(*times, strict=True))
    return (
        f"{RATE:>5}/s of {vendor} s: {python:.0f} + {postgres_cpu:.0f} µs of Python + PostgreSQL; "
        f"hold {statistics.median(hold):.2f} ms (p99 {_p99(hold):.1f}), "
        f"settle {statistics.median(settle):.2f} ms (p99 {_p99(settle):.1f})"
    )


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


async def _arrivals(
    organization_id: int, vendor: float, count: int, *, books: bool
) -> list[tuple[float, float]]:
    """Let calls begin at `RATE`; return the seconds of each one's hold and settlement."""
    from billing import ledger  # noqa: PLC0415

    async def call() -> tuple[float, float]:
        made, settlement = _call(organization_id, seconds=vendor)
        held = await _seconds(ledger.hold(made)) if books else 0.0
        await asyncio.sleep(vendor)
        settled = await _seconds(ledger.settle(settlement)) if books else 0.0
        return held, settled

    loop = asyncio.get_running_loop()
    began_at, calls = loop.time(), []
    for number in range(count):
        if (early := began_at + number / RATE - loop.time()) > 0:
            await asyncio.sleep(early)
        calls.append(loop.create_task(call()))
    return await asyncio.gather(*calls)


async def _timed(organization_id: int) -> tuple[float, float, float]:
    """Return the seconds of a hold, of its settlement, and of the record of a cache hit."""
    from billing import ledger  # noqa: PLC0415

    made, settlement = _call(organization_id)
    other, its_end = _call(organization_id)
    return (
        await _seconds(ledger.hold(made)),
        await _seconds(ledger.settle(settlement)),
        await _seconds(ledger.record_hit(other, its_end)),
    )


async def _seconds(work: Awaitable[object]) -> float:
    began_at = time.perf_counter()
    await work
    return time.perf_counter() - began_at


async def _cpu(
    organization_id: int, callers: int, each: int, postgres: psutil.Process
) -> tuple[float, float, float]:
    """Return µs of CPU time of Python and of PostgreSQL for a call, and the calls a second."""
    server, own, began_at = processes.cpu_seconds(postgres), time.process_time(), time.monotonic()
    await _calls(organization_id, callers=callers, each=each)
    count = callers * each
    return (
        (time.process_time() - own) / count * 1e6,
        (processes.cpu_seconds(postgres) - server) / count * 1e6,
        count / (time.monotonic() - began_at),
    )


async def _calls(organization_id: int, *, callers: int, each: int) -> None:
    from billing import ledger  # noqa: PLC0415

    async def caller() -> None:
        for _ in range(each):
            made, settlement = _call(organization_id)
            await ledger.hold(made)
            await ledger.settle(settlement)

    await asyncio.gather(*(caller() for _ in range(callers)))


def _call(organization_id: int, seconds: float = 0.002) -> "tuple[Attempt, Settlement]":
    """Return an ordinary call as the ledger is told of it, before and after."""
    from accounts.principal import Principal  # noqa: PLC0415
    from billing.entries import Attempt, Settlement  # noqa: PLC0415
    from billing.models import Outcome  # noqa: PLC0415
    from billing.pricing import PriceSnapshot, TokenUsage  # noqa: PLC0415
    from core.ids import new_id  # noqa: PLC0415

    made = Attempt(
        id=new_id(),
        request_id="bench",
        attempt=1,
        surface="api",
        principal=Principal(organization_id=organization_id, user_id=1, user_name="bench"),
        provider="bench",
        model_asked=installation.MODEL,
        model_served=installation.MODEL,
        input_tokens=20,
        hold_usd=Decimal("0.001"),
        price=PriceSnapshot(input_usd=Decimal(1), output_usd=Decimal(2)),
    )
    settlement = Settlement(
        usage_id=made.id,
        outcome=Outcome.SUCCESS,
        usage=TokenUsage(input_tokens=20, output_tokens=20),
        is_estimated=False,
        cost_usd=Decimal("0.00006"),
        ttft_ms=1,
        duration_ms=round(seconds * 1000),
        model_served=installation.MODEL,
        finish_reason="stop",
    )
    return made, settlement


def _organization_id() -> int:
    from accounts.models import Organization  # noqa: PLC0415

    return int(Organization.objects.get(slug="bench").pk)


if __name__ == "__main__":
    main()
