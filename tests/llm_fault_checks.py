"""Plays the rows of the table of faults, and compares what came of each."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from billing.models import UsageRecord
from llm import retry_budget
from llm.types import Call
from tests.llm_faults import Fault, Form, Table
from tests.llm_support import ask, collect
from tests.vendor import FakeVendor, deaf_address

AT_ONCE = 16
NOBODY = "http://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Row:
    """A fault in one of its forms, and the vendor that plays it."""

    name: str
    fault: Fault
    form: Form
    vendor: FakeVendor


async def check_faults(table: Table, call: Call, *, kind: str) -> None:
    """Play the whole table at once, each row with a model of its own; fail with all that differ."""
    places = asyncio.Semaphore(AT_ONCE)

    async def check(row: Row) -> str | None:
        async with places:
            try:
                await _check(row, call)
            except (AssertionError, pytest.fail.Exception) as error:
                return f"{row.name}: {error}"
        return None

    with _vendors() as vendors, pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry_budget, "FLOOR", 10_000)
        rows = await sync_to_async(_serve)(table, vendors, kind)
        differences = [said for said in await asyncio.gather(*map(check, rows)) if said]
    assert not differences, "\n\n".join(differences)


@contextmanager
def _vendors() -> Iterator[dict[str, FakeVendor]]:
    refused, deaf = FakeVendor("refused"), FakeVendor("deaf")
    with FakeVendor("vendor") as vendor, deaf_address() as address:
        refused.url, deaf.url = NOBODY, address
        yield {"vendor": vendor, "refused": refused, "deaf": deaf}


def _serve(table: Table, vendors: dict[str, FakeVendor], kind: str) -> list[Row]:
    rows = []
    for name, fault in table.items():
        for form in fault.forms:
            row = Row(f"{name}, {form}", fault, form, vendors[fault.place])
            row.vendor.serve(row.name, kind=kind, model=row.name, **fault.timeouts)
            row.vendor.script_model(row.name, fault.answer)
            rows.append(row)
    return rows


async def _check(row: Row, call: Call) -> None:
    """Fail unless caller, vendor and books have seen what the row says."""
    fault = row.fault
    asked = ask(model=row.name, stream=row.form == "streamed")

    with pytest.raises(fault.error) as failed:
        await collect(asked, replace(call, request_id=row.name))

    received = [request for request in row.vendor.requests if request.body["model"] == row.name]
    records = UsageRecord.objects.filter(request_id=row.name).order_by("attempt")
    seen = {
        "error": type(failed.value),
        "retry after": failed.value.retry_after,
        "calls": len(received),
        "attempts": [_booked(record) async for record in records],
    }
    wanted = {
        "error": fault.error,
        "retry after": pytest.approx(fault.retry_after, abs=1),
        "calls": fault.attempts if fault.place == "vendor" else 0,
        "attempts": [_to_be_booked(number, fault) for number in range(1, fault.attempts + 1)],
    }
    assert seen == wanted, f"{seen} is not {wanted}"


def _booked(record: UsageRecord) -> dict[str, Any]:
    return {
        "number": record.attempt,
        "state": record.state,
        "outcome": record.outcome,
        "error": record.error_class,
        "cost": record.cost_usd,
        "is estimated": record.is_estimated,
    }


def _to_be_booked(number: int, fault: Fault) -> dict[str, Any]:
    return {
        "number": number,
        "state": "settled",
        "outcome": fault.outcome,
        "error": fault.error.__name__,
        "cost": AtLeast(fault.cost) if fault.is_at_least else fault.cost,
        "is estimated": fault.cost > 0,
    }


class AtLeast:
    """Equals every cost that is not below it."""

    def __init__(self, cost: Decimal) -> None:
        self._cost = cost

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decimal) and other >= self._cost

    def __hash__(self) -> int:
        return hash(self._cost)

    def __repr__(self) -> str:
        return f"at least {self._cost}"
