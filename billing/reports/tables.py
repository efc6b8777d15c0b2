"""A table of figures, as a page shows it and as a spreadsheet reads it."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import mark_safe

from billing.currency import Money

UNKNOWN = "–"


class Kind(StrEnum):
    """How a column's values are written."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    SIGNED = "money signed"  # what is added or taken
    SHARE = "share"
    CHANGE = "change"
    TIME = "time"  # milliseconds


class Column(NamedTuple):
    title: str
    kind: Kind = Kind.COUNT
    is_shown: bool = True  # on the page; the file has all columns


@dataclass(frozen=True, slots=True)
class Row:
    values: Sequence[Any]
    link: str = ""  # where its name leads
    bar: float | None = None  # its part of the greatest, 0 to 1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below columns; the first column names the row."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    shown: int = 10  # rows on the page; the file has all
    csv_link: str = ""
    note: str = ""

    @property
    def body(self) -> str:
        """Return the page's rows as HTML: written here, for there are thousands of cells."""
        return mark_safe("\n".join(map(self._line, self.rows[: self.shown])))  # noqa: S308 - all text is escaped

    @property
    def hidden(self) -> int:
        return max(0, len(self.rows) - self.shown)

    @property
    def heads(self) -> list[Column]:
        """Return the columns of the page."""
        return [column for column in self.columns if column.is_shown]

    def _line(self, row: Row) -> str:
        columns = zip(self.columns, row.values, strict=True)
        (first, name), *others = [(column, value) for column, value in columns if column.is_shown]
        cells = "".join(_cell(column, value) for column, value in others)
        return f"<tr>{_head(row, shown(name, first.kind))}{cells}</tr>"

    def as_csv(self) -> str:
        """Return it as comma separated values, with exact amounts."""
        return to_csv([column.title for column in self.columns], [row.values for row in self.rows])


def _head(row: Row, name: str) -> str:
    """Return the cell that names a row, with a bar of its part of the greatest."""
    text: str = escape(name)
    if row.link:
        text = f'<a href="{escape(row.link)}">{text}</a>'
    bar = ""
    if row.bar is not None:
        bar = (
            '<svg class="share" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="room" width="1" height="1"/>'
            f'<rect class="fill-0" width="{row.bar:.4f}" height="1"/></svg>'
        )
    return f'<th scope="row">{text}{bar}</th>'


def _cell(column: Column, value: Any) -> str:
    hint = f' title="{escape(value.hint)}"' if isinstance(value, Money) and value.hint else ""
    return f'<td class="{column.kind}"{hint}>{escape(shown(value, column.kind))}</td>'


_WRITTEN: dict[Kind, Callable[[Any], str]] = {
    Kind.MONEY: str,
    Kind.SIGNED: lambda amount: f"+{amount}" if amount.usd > 0 else str(amount),
    Kind.COUNT: lambda count: f"{count:,}",
    Kind.SHARE: lambda share: f"{share:.1%}",
    Kind.CHANGE: lambda change: "0%" if abs(change) < 0.005 else f"{change:+,.0%}",
    Kind.TIME: lambda ms: f"{ms:,} ms" if ms < 1000 else f"{ms / 1000:,.1f} s",
}


def to_csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return comma separated values that no spreadsheet takes for formulas."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue()


def shown(value: Any, kind: Kind) -> str:
    """Return a value for people."""
    if value is None:
        return UNKNOWN
    if kind == Kind.TEXT:
        return shown_time(value) if isinstance(value, date) else str(value)
    return _WRITTEN[kind](value)


def shown_time(moment: date) -> str:
    """Return a day, or an hour of it."""
    if isinstance(moment, datetime):
        return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
    return f"{moment:%Y-%m-%d}"


def _plain(value: Any) -> Any:
    if isinstance(value, Money):
        value = value.usd
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat()
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
