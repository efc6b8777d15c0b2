"""Cases from files: JSON lines as `CaseContent` has them, or a table with a column a variable."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from core.errors import AppError, InvalidRequest
from prompts.content import Variable
from prompts.testing.cases import CaseContent, read_case

MOST_BYTES = 5_000_000
MOST_PROBLEMS = 50  # that are told
# Columns of a table that are no variables.
JSON_COLUMNS = ("messages", "checks")
TEXT_COLUMNS = {"case": "name", "locale": "locale"}
EXPECTED = ("contains", "equals")  # short for a check of that kind
MESSAGE = "message"  # short for one message of the user
VARIABLE = "variables."  # before the name of a variable that is called like one of these


@dataclass(frozen=True, slots=True)
class LineProblem:
    """What is wrong with a line of a file."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says; with problems, nothing of it is to be kept."""

    contents: Sequence[CaseContent]
    problems: Sequence[LineProblem]


def read(data: bytes, *, is_table: bool, variables: Sequence[Variable]) -> Read:
    """Return the cases of a file, or what is wrong with each of its lines.

    In a table, texts become what the prompt declares: numbers, booleans, lists.
    """
    if len(data) > MOST_BYTES:
        raise InvalidRequest(f"The file has more than {MOST_BYTES // 1_000_000} MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("The file is not text in UTF-8.") from None
    rows = _of_table(text, variables) if is_table else _of_lines(text)
    return _read(rows)


def _read(rows: Iterator[tuple[int, Any]]) -> Read:
    contents: dict[str, CaseContent] = {}
    problems: list[LineProblem] = []
    for number, row in rows:
        try:
            content = _content(number, row)
            if content.name in contents:
                raise InvalidRequest(f"There are two cases “{content.name}”.")
        except AppError as error:
            problems.append(LineProblem(number, error.message))
            if len(problems) == MOST_PROBLEMS:
                break
        else:
            contents[content.name] = content
    if not contents and not problems:
        problems.append(LineProblem(1, "There is no case in the file."))
    return Read(tuple(contents.values()), problems)


def _content(number: int, row: Any) -> CaseContent:
    if isinstance(row, AppError):
        raise row
    if not isinstance(row, dict):
        raise InvalidRequest("A case is an object.")
    return read_case({"name": f"Line {number}", **row})


def _of_lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line)
            except msgspec.DecodeError:
                yield number, InvalidRequest("This is not JSON.")


def _of_table(text: str, variables: Sequence[Variable]) -> Iterator[tuple[int, Any]]:
    declared = {variable.name: variable for variable in variables}
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        for row in rows:
            try:
                yield rows.line_num, _of_row(row, declared)
            except AppError as error:
                yield rows.line_num, error
    except csv.Error as error:
        yield rows.reader.line_num, InvalidRequest(f"The table cannot be read: {error}.")


def _of_row(row: Mapping[Any, Any], declared: Mapping[str, Variable]) -> dict[str, Any]:
    """Return the case of a row; an empty cell is a value that is left out."""
    if None in row:
        raise InvalidRequest("The line has more cells than the first one.")
    case: dict[str, Any] = {"variables": {}, "checks": [], "messages": []}
    for name, cell in row.items():
        if not cell:
            continue
        if name in JSON_COLUMNS:
            case[name] += _list(name, cell)
        elif name in TEXT_COLUMNS:
            case[TEXT_COLUMNS[name]] = cell
        elif name in EXPECTED:
            case["checks"].append({"kind": name, "text": cell})
        elif name == MESSAGE:
            case["messages"].append({"role": "user", "content": cell})
        else:
            variable = name.removeprefix(VARIABLE)
            case["variables"][variable] = _value(variable, cell, declared.get(variable))
    return case


def _value(name: str, cell: str, variable: Variable | None) -> Any:
    if variable is None or variable.type in ("text", "choice"):
        return cell
    if variable.type == "boolean":
        return _json(name, cell.lower())
    return _json(name, cell)


def _list(name: str, cell: str) -> list[Any]:
    value = _json(name, cell)
    if not isinstance(value, list):
        raise InvalidRequest(f"“{name}” is a list as JSON.")
    return value


def _json(name: str, cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"“{name}” is not JSON: {cell[:50]}.") from None
