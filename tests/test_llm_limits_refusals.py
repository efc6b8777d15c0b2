"""Who was limited is written down, and a flood of refusals costs little."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async

from accounts.models import Organization
from llm import limits
from llm.limits import refusals
from llm.models import LimitRefusal
from tests.limits_support import alimit, call_by, is_admitted, refused
from tests.llm_support import MARKS

pytestmark = MARKS


async def test_refusals_are_written_once_a_minute_and_caller(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "FLUSH_SECONDS", 0.05)
    moments = (datetime(2026, 11, 1, 12, 0, 1, n, tzinfo=UTC) for n in count())
    monkeypatch.setattr(refusals, "timezone", SimpleNamespace(now=lambda: next(moments)))
    await alimit("Trial", requests=1)
    assert await is_admitted(call_by(acme, user=7, key=8, ip="192.0.2.1"))

    for _ in range(20):
        await refused(call_by(acme, user=7, key=8, ip="192.0.2.1"))
    while not await LimitRefusal.objects.aexists():  # noqa: ASYNC110 - a thread writes it
        await asyncio.sleep(0.01)
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
