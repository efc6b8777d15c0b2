"""The CSV file of OpenAI's dashboard (Usage, Cost, Export), grouped by line item or not.

Columns that are read: `start_time` or `start_time_iso`, `amount_value`, `amount_currency`,
`line_item`. Days without costs are rows without an amount.
"""

from collections.abc import Iterator, Mapping, Sequence

from billing.corrections.exports.lines import Cost, amount, day_of, in_usd
from billing.corrections.exports.openai_json import split

VENDOR = "OpenAI"


def is_it(columns: Sequence[str]) -> bool:
    """Return whether these are the columns of such a file."""
    return {"amount_value", "amount_currency"} <= set(columns) and bool(
        {"start_time", "start_time_iso"} & set(columns)
    )


def read(rows: Iterator[tuple[int, Mapping[str, str]]]) -> Iterator[Cost]:
    """Yield the costs of rows with the numbers of their lines; raise `ExportUnreadable`."""
    for number, row in rows:
        if not row["amount_value"].strip():
            continue
        where = f"Line {number}"
        in_usd(row["amount_currency"], where)
        day = day_of(row.get("start_time_iso") or row.get("start_time", ""), where)
        model, what = split(row.get("line_item") or "")
        yield Cost(day, model, amount(row["amount_value"], where), what)
