"""The table of a run: cases by versions and models."""

from collections.abc import Sequence
from dataclasses import dataclass

from prompts.models import CaseResult, DatasetRun
from prompts.testing.comparison import Column, reason

MOST_COLUMNS = 4  # that fit beside each other on a desk


@dataclass(frozen=True, slots=True)
class Cell:
    """One result, without its output."""

    result: CaseResult
    why: str

    @property
    def word(self) -> str:
        """Return what came of it, for those who do not see the colour."""
        if self.result.error:
            return "Error"
        return {True: "Passed", False: "Failed", None: "Not checked"}[self.result.passed]

    @property
    def kind(self) -> str:
        return {True: "good", False: "bad", None: "open"}[self.result.passed]


@dataclass(frozen=True, slots=True)
class Row:
    """One case; a cell is `None` while there is no result."""

    case: str
    cells: Sequence[tuple[Column, Cell | None]]


def rows_of(run: DatasetRun, cases: Sequence[str], columns: Sequence[Column]) -> list[Row]:
    """Return a row for each of the cases."""
    found = run.results.filter(case_name__in=cases).defer("output")
    cells = {(one.case_name, one.version, one.model): Cell(one, reason(one)) for one in found}
    return [
        Row(case, [(column, cells.get((case, column.version, column.model))) for column in columns])
        for case in cases
    ]
