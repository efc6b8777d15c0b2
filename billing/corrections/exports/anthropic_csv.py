"""The CSV file of the Claude Console (Cost, Export). Amounts are US dollars.

Columns that are read: `usage_date_utc`, `model`, `cost_usd`, `token_type`, `cost_type`. Models have
the names that people read: "Claude Haiku 4.5" is `claude-haiku-4-5`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from billing.corrections.exports.lines import Cost, amount, day_of

VENDOR = "Anthropic"


def is_it(columns: Sequence[str]) -> bool:
    """Return whether these are the columns of such a file."""
    return {"usage_date_utc", "model", "cost_usd"} <= set(columns)


def read(rows: Iterator[tuple[int, Mapping[str, str]]]) -> Iterator[Cost]:
    """Yield the costs of rows with the numbers of their lines; raise `ExportUnreadable`."""
    for number, row in rows:
        where = f"Line {number}"
        what = row.get("token_type") or row.get("cost_type") or ""
        model = model_id(row["model"])
        day = day_of(row["usage_date_utc"], where)
        yield Cost(day, model, amount(row["cost_usd"], where), what)


def model_id(name: str) -> str:
    """Return a model's id without its date."""
    return re.sub(r"[ .]+", "-", name.strip().lower())
