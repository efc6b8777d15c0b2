"""A process of its own that spends on a budget, for tests that need two of them.

python -m tests.billing_worker hammer|together|hang ORGANIZATION_ID COUNT HOLD_USD

"together" waits for a line with an organization's id, and holds; then for the next line.
"""

import asyncio
import os
import sys
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.principal import Principal  # noqa: E402
from billing import ledger  # noqa: E402
from billing.entries import Attempt  # noqa: E402
from billing.errors import BudgetExceeded  # noqa: E402
from core.ids import new_id  # noqa: E402
from tests.billing_support import PRICE, settlement  # noqa: E402


def attempt(organization_id: int, hold_usd: str) -> Attempt:
    return Attempt(
        id=new_id(),
        request_id="process",
        attempt=1,
        surface="test",
        principal=Principal(organization_id=organization_id),
        provider="acme",
        model_asked="default",
        model_served="model-1",
        input_tokens=1000,
        hold_usd=Decimal(hold_usd),
        price=PRICE,
    )


async def spend(organization_id: int, hold_usd: str) -> bool:
    """Make one call that costs all that it holds; return whether it was admitted."""
    made = attempt(organization_id, hold_usd)
    try:
        await ledger.hold(made)
    except BudgetExceeded:
        return False
    await asyncio.sleep(0)
    await ledger.settle(settlement(made, hold_usd))
    return True


async def hold_together(organization_id: int, count: int, hold_usd: str) -> int:
    """Hold for so many calls at the same time, and return how many were admitted."""
    holds = (ledger.hold(attempt(organization_id, hold_usd)) for _ in range(count))
    results = await asyncio.gather(*holds, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(result, BudgetExceeded) for result in refused)
    return len(results) - len(refused)


async def main(what: str, organization_id: int, count: int, hold_usd: str) -> None:
    if what == "hang":
        for _ in range(count):
            await ledger.hold(attempt(organization_id, hold_usd))
        print("held", flush=True)
        await asyncio.sleep(600)
    if what == "together":
        while round_on := await asyncio.to_thread(sys.stdin.readline):
            print(await hold_together(int(round_on), count, hold_usd), flush=True)
        ledger.close()
        return
    done = await asyncio.gather(*(spend(organization_id, hold_usd) for _ in range(count)))
    print(sum(done), flush=True)
    ledger.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
