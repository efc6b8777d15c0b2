"""Why files of prompts cannot be imported."""

from collections.abc import Sequence
from typing import NamedTuple

from core.errors import AppError

MOST_TOLD = 100  # problems, in one answer


class FileProblem(NamedTuple):
    """One thing that is wrong in the files, and where."""

    file: str
    line: int | None
    place: str  # `messages[0].template`, `labels.production`; empty: the file as a whole
    text: str  # a sentence

    @property
    def where(self) -> str:
        """Return the file with its line, as compilers write it, and the place in it."""
        spot = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{spot} ({self.place})" if self.place else spot

    @property
    def sentence(self) -> str:
        return f"{self.where}: {self.text}"


class ImportInvalid(AppError):
    """Nothing was imported: `problems` says all that is wrong with the files."""

    code = "prompt_import_invalid"
    http_status = 400

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        told = problems[:MOST_TOLD]
        if len(problems) > MOST_TOLD:
            told = [*told, FileProblem("and", None, "", f"{len(problems) - MOST_TOLD} more.")]
        super().__init__(
            "\n".join(one.sentence for one in told), param="files", details=_by_place(told)
        )
        self.problems = tuple(told)


class ImportChanged(AppError):
    """Nothing was imported: it would no longer do what was shown."""

    code = "prompt_import_changed"
    http_status = 409


def _by_place(problems: Sequence[FileProblem]) -> dict[str, str]:
    found: dict[str, str] = {}
    for problem in problems:
        key = problem.where
        found[key] = f"{found[key]} {problem.text}" if key in found else problem.text
    return found
