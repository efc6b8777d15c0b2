"""Four web processes, two hundred programs, a budget with room for ten: ten are answered."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from accounts import keys
from accounts.models import Organization
from billing import books, prices
from billing.models import Budget, BudgetPeriod, Outcome, UsageRecord, UsageState
from tests.servers import Server, running_server
from tests.vendor import FakeVendor
from tests.vendor_wire import Answer, Gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

PROCESSES = 4
CALLS_EACH = 50
ROOM = 10
FEE = Decimal("0.10")  # of a call, and all that it costs: it is held and booked alike
PATIENCE = 300.0  # seconds


@pytest.fixture
def servers(transactional_db: None) -> Iterator[Sequence[Server]]:
    """Four web processes, each with an address of its own, so that each gets its fifty."""
    with ExitStack() as running, ThreadPoolExecutor(PROCESSES) as starting:
        contexts = [running_server() for _ in range(PROCESSES)]
        yield list(starting.map(running.enter_context, contexts))


@pytest.fixture
def api_key(acme: Organization, vendor: FakeVendor) -> str:
    """The key of an organization whose budget has room for ten calls."""
    vendor.serve(prices_usd=None)
    prices.set_price(
        provider=vendor.name,
        model="vendor-model",
        input_usd=Decimal(0),
        output_usd=Decimal(0),
        request_usd=FEE,
    )
    Budget.objects.create(organization=acme, name="Room for ten", limit_usd=ROOM * FEE)
    return keys.create(organization=acme, name="Program")[1]


async def ask_all(
    servers: Sequence[Server], api_key: str, gate: Gate
) -> tuple[list[httpx2.Response], list[httpx2.Response]]:
    """Return the refusals, all of them while the vendor still kept silent, and the answers."""
    body = {"model": "test-model", "messages": [{"role": "user", "content": "Hello"}]}
    limits = httpx2.Limits(max_connections=PROCESSES * CALLS_EACH)
    headers = {"Authorization": f"Bearer {api_key}"}
    async with httpx2.AsyncClient(timeout=PATIENCE, limits=limits, headers=headers) as client:
        waiting = {
            asyncio.create_task(
                client.post(
                    f"{server.url}/v1/chat/completions", json={**body, "stream": bool(number % 2)}
                )
            )
            for number in range(CALLS_EACH)
            for server in servers
        }
        refusals: list[httpx2.Response] = []
        async with asyncio.timeout(PATIENCE):
            while len(waiting) > ROOM:
                done, waiting = await asyncio.wait(waiting, return_when="FIRST_COMPLETED")
                refusals += [task.result() for task in done]
        gate.open()
        return refusals, list(await asyncio.gather(*waiting))


def test_of_two_hundred_calls_at_four_processes_exactly_the_ten_that_fit_are_answered(
    servers: Sequence[Server], api_key: str, vendor: FakeVendor
) -> None:
    gate = Gate()
    vendor.script(Answer(gate=gate))

    refusals, answers = asyncio.run(ask_all(servers, api_key, gate))

    assert Counter(one.status_code for one in refusals) == {402: PROCESSES * CALLS_EACH - ROOM}
    for refusal in refusals:
        error: dict[str, Any] = refusal.json()["error"]
        assert (error["code"], error["budget"]) == ("budget_exceeded", "Room for ten")
    assert Counter(one.status_code for one in answers) == {200: ROOM}
    assert len(vendor.requests) == ROOM
    records = UsageRecord.objects.filter(state=UsageState.SETTLED, outcome=Outcome.SUCCESS)
    assert [record.cost_usd for record in records] == [FEE] * ROOM
    assert UsageRecord.objects.count() == ROOM
    period = BudgetPeriod.objects.get()
    assert (period.spent_usd, period.held_usd) == (ROOM * FEE, Decimal(0))
    assert books.differences() == []
