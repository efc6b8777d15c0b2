"""Anthropic's cost report: `GET /v1/organizations/cost_report?group_by[]=description`.

Source: https://platform.claude.com/docs/en/api/admin/cost_report. Amounts are decimal strings in
cents: "123.45" is $1.2345. Without the grouping there is no model.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from billing.corrections.exports.lines import Cost, amount, day_of, in_usd, member, members

VENDOR = "Anthropic"
CENTS = Decimal(100)


def is_it(page: Any) -> bool:
    """Return whether a JSON document looks like a cost report."""
    buckets = page.get("data") if isinstance(page, dict) else None
    if not isinstance(buckets, list) or not buckets:
        return False
    return isinstance(buckets[0], dict) and "starting_at" in buckets[0]


def read(page: Any) -> Iterator[Cost]:
    """Yield the costs of a page; raise `ExportUnreadable`."""
    for number, bucket in enumerate(members(page, "data", "The file"), start=1):
        where = f"Bucket {number}"
        day = day_of(member(bucket, "starting_at", where), where)
        for index, result in enumerate(members(bucket, "results", where), start=1):
            place = f"{where}, result {index}"
            in_usd(member(result, "currency", place), place)
            cents = amount(member(result, "amount", place), place)
            what = str(result.get("token_type") or result.get("cost_type") or "")
            yield Cost(day, str(result.get("model") or ""), cents / CENTS, what)
