"""Who was limited is written down, and a flood of refusals costs little."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from asgiref.sync import sync_to_async

from accounts.models import Organization
from core.outage import Outage
from llm import limits
from llm.limits import refusals, rules, shared
from llm.models import LimitRefusal
from tests.limits_support import call_by, is_admitted, limit, refused
from tests.llm_support import MARKS

pytestmark = MARKS

alimit = sync_to_async(limit)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(shared, "outage", Outage("llm.limits"))
    rules.forget()
    yield
    rules.forget()


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture(autouse=True)
async def close_limits() -> AsyncIterator[None]:
    yield
    await limits.close()


async def test_refusals_are_written_once_a_minute_and_caller(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "FLUSH_SECONDS", 0.05)
    await alimit("Trial", requests=1)
    assert await is_admitted(call_by(acme, user=7, key=8, ip="192.0.2.1"))
    second = 60 - time.time() % 60
    if second < 1:
        await asyncio.sleep(second)

    for _ in range(20):
        await refused(call_by(acme, user=7, key=8, ip="192.0.2.1"))
    await asyncio.sleep(0.3)
    for _ in range(5):
        await refused(call_by(acme, user=7, key=8, ip="192.0.2.1"))
        await refused(call_by(acme))
    await limits.close()

    rows = [row async for row in LimitRefusal.objects.order_by("user_name")]
    assert [(row.user_name, row.count) for row in rows] == [("", 5), ("user-7", 25)]
    row = rows[1]
    assert (row.limit_name, row.figure, row.surface) == ("Trial", "requests", "api")
    assert (row.organization_id, row.api_key_prefix, row.ip) == (acme.pk, "pk-8", "192.0.2.1")
    assert row.minute <= row.first_at < row.last_at


async def test_a_flood_of_callers_takes_bounded_memory_and_rows(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MOST", 10)
    for number in range(1000):
        limits.note(limits.Refused("Wrong API keys", "keys", ip=f"192.0.{number}.1"))

    await limits.close()

    rows = [row async for row in LimitRefusal.objects.all()]
    assert len(rows) <= 12  # it may be another minute by now
    assert sum(row.count for row in rows) == 1000


async def test_old_refusals_are_removed(acme: Organization) -> None:
    limits.note(limits.Refused("Old", "requests"))
    limits.note(limits.Refused("New", "requests"))
    await limits.close()
    old = LimitRefusal.objects.filter(limit_name="Old")
    [row] = [row async for row in old]
    await old.aupdate(minute=row.minute - refusals.KEPT)

    assert await sync_to_async(refusals.remove_old)() == 1

    assert [row.limit_name async for row in LimitRefusal.objects.all()] == ["New"]
