"""Which export a file is, and what it says."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.corrections.exports import anthropic_csv, anthropic_json, openai_csv, openai_json
from billing.corrections.exports.lines import Cost, ExportUnreadable

MOST_BYTES = 20 * 1024 * 1024
JSON_FORMATS = (openai_json, anthropic_json)
CSV_FORMATS = (openai_csv, anthropic_csv)
UNKNOWN = (
    "This is none of the exports that can be read: OpenAI's costs as JSON or CSV, Anthropic's cost "
    "report as JSON, or the Claude Console's costs as CSV."
)


@dataclass(frozen=True, slots=True)
class CostExport:
    """A vendor's costs, as a file tells them."""

    vendor: str
    costs: tuple[Cost, ...]


def read(content: bytes) -> CostExport:
    """Return what a file says; raise `ExportUnreadable` with the line that is wrong."""
    if len(content) > MOST_BYTES:
        raise ExportUnreadable(f"The file is larger than {MOST_BYTES // 1024 // 1024} MB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ExportUnreadable("The file is not text in UTF-8.") from None
    if not text.strip():
        raise ExportUnreadable("The file is empty.")
    export = _json(text) if text.lstrip()[0] in "{[" else _csv(text)
    if not export.costs:
        raise ExportUnreadable("There are no costs in the file.")
    return export


def _json(text: str) -> CostExport:
    """Read one page, or a list of pages as several answers put together."""
    try:
        document: Any = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        where = f"Line {line}: this" if line else "The file"
        raise ExportUnreadable(f"{where} is not JSON.") from None
    pages = document if isinstance(document, list) else [document]
    for form in JSON_FORMATS:
        if pages and all(form.is_it(page) for page in pages):
            costs = [cost for page in pages for cost in form.read(page)]
            return CostExport(form.VENDOR, tuple(costs))
    raise ExportUnreadable(UNKNOWN)


def _csv(text: str) -> CostExport:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(rows)]
    except csv.Error:
        raise ExportUnreadable(UNKNOWN) from None
    for form in CSV_FORMATS:
        if form.is_it(columns):
            return CostExport(form.VENDOR, tuple(form.read(_rows(rows, columns))))
    raise ExportUnreadable(UNKNOWN)


def _rows(rows: Any, columns: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        for row in rows:
            if not row:
                continue
            if len(row) != len(columns):
                raise ExportUnreadable(
                    f"Line {rows.line_num}: it has {len(row)} values instead of {len(columns)}."
                )
            yield rows.line_num, dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise ExportUnreadable(f"Line {rows.line_num}: {error}.") from None
