"""OpenAI's Costs API: `GET /v1/organization/costs?bucket_width=1d&group_by=line_item`.

Source: https://platform.openai.com/docs/api-reference/usage/costs_object. Amounts are US dollars.
Line items read "gpt-4o-2024-08-06, cached input"; one without a comma is no model's.
"""

from collections.abc import Iterator
from typing import Any

from billing.corrections.exports.lines import Cost, amount, day_of, in_usd, member, members

VENDOR = "OpenAI"


def is_it(page: Any) -> bool:
    """Return whether a JSON document looks like a page of costs."""
    buckets = page.get("data") if isinstance(page, dict) else None
    if not isinstance(buckets, list) or not buckets:
        return False
    return isinstance(buckets[0], dict) and "start_time" in buckets[0]


def read(page: Any) -> Iterator[Cost]:
    """Yield the costs of a page; raise `ExportUnreadable`."""
    for number, bucket in enumerate(members(page, "data", "The file"), start=1):
        where = f"Bucket {number}"
        day = day_of(member(bucket, "start_time", where), where)
        for index, result in enumerate(members(bucket, "results", where), start=1):
            place = f"{where}, result {index}"
            money = member(result, "amount", place)
            in_usd(member(money, "currency", place), place)
            model, what = split(str(result.get("line_item") or ""))
            yield Cost(day, model, amount(member(money, "value", place), place), what)


def split(line_item: str) -> tuple[str, str]:
    """Return the model and what of it was paid for."""
    model, comma, what = line_item.partition(", ")
    return (model.strip(), what.strip()) if comma else ("", line_item.strip())
