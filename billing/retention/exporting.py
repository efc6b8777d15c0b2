"""A month's usage records in a file: CSV in gzip, with a checksum beside it."""

import csv
import gzip
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from django.db import connection, transaction

from billing.retention.partitions import months, table_of
from core.errors import AppError

BLOCK = 1 << 20  # bytes


class NoSuchMonth(AppError):
    code = "no_such_month"
    http_status = 404


class ExportDamaged(AppError):
    code = "export_damaged"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Export:
    """A file that holds a month's usage records."""

    month: date
    path: Path
    records: int
    sha256: str

    @property
    def checksum_path(self) -> Path:
        """Return the file that `sha256sum --check` reads."""
        return self.path.with_name(f"{self.path.name}.sha256")


def export_month(month: date, folder: Path) -> Export:
    """Write a month's records to a new file of the folder, read it again, and return what it has.

    Raises `NoSuchMonth`, `FileExistsError`, or `ExportDamaged` when the file is not what was
    written. A file that was not finished is never there by its name.
    """
    if month not in months():
        raise NoSuchMonth(f"There are no usage records of {month:%Y-%m} in a partition of its own.")
    path = folder / f"usage-{month:%Y-%m}.csv.gz"
    if path.exists():
        raise FileExistsError(path)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    try:
        records = _write(month, unfinished)
        sha256 = _sha256(unfinished)
        if (found := _count(unfinished)) != records:
            raise ExportDamaged(f"{records} records were written, but the file has {found}.")
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    export = Export(month=month, path=path, records=records, sha256=sha256)
    export.checksum_path.write_text(f"{sha256}  {path.name}\n")
    return export


def _write(month: date, path: Path) -> int:
    table = connection.ops.quote_name(table_of(month))
    query = f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"  # noqa: S608 - our own name
    with transaction.atomic(), gzip.open(path, "wb") as file, connection.cursor() as cursor:
        with cursor.cursor.copy(query) as copy:
            for block in copy:
                file.write(block)
        return int(cursor.cursor.rowcount)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _count(path: Path) -> int:
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return _length(csv.reader(file)) - 1  # without the names of the columns


def _length(rows: Iterator[list[str]] | Iterable[list[str]]) -> int:
    return sum(1 for _ in rows)
