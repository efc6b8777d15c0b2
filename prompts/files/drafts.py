"""What files say of prompts, read and typed, but not compared with what is there yet."""

from dataclasses import dataclass, field
from typing import NamedTuple

from prompts.content import PromptContent
from prompts.errors import Problem
from prompts.files.errors import FileProblem


class Source(NamedTuple):
    """Where something stands: in which file, at which place, and on which lines its parts are."""

    file: str
    lines: dict[str, int]
    place: str = ""

    def at(self, place: str) -> "Source":
        """Return a place within this one."""
        joined = f"{self.place}.{place}" if self.place and place else self.place or place
        return self._replace(place=joined)

    def problem(self, text: str, further_lines: int = 0) -> FileProblem:
        """Return what is wrong here, or some lines below."""
        line = self._line()
        return FileProblem(
            self.file, None if line is None else line + further_lines, self.place, text
        )

    def of_content(self, problem: Problem) -> FileProblem:
        """Return what is wrong with a version; its templates have lines of their own."""
        if problem.line is None:
            return self.at(problem.place).problem(problem.text)
        return self.at(f"{problem.place}.template").problem(problem.text, problem.line - 1)

    def _line(self) -> int | None:
        """Return the line of the place, or of the nearest around it that the file has."""
        place = self.place
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.lines.get(place)


@dataclass(frozen=True, slots=True)
class VersionDraft:
    """A version that a file has; by a number it is one of a history, else by a label's name."""

    name: str
    content: PromptContent
    note: str
    source: Source

    @property
    def is_of_history(self) -> bool:
        return self.name.isdecimal()


@dataclass(frozen=True, slots=True)
class LabelDraft:
    name: str
    version: VersionDraft
    source: Source


@dataclass(slots=True)
class PromptDraft:
    """A prompt that files have; `None`: they do not say what it is for."""

    name: str
    source: Source
    description: str | None = None
    versions: dict[str, VersionDraft] = field(default_factory=dict)
    labels: list[LabelDraft] = field(default_factory=list)

    def in_order(self) -> list[VersionDraft]:
        """Return the versions, the oldest first: production before what follows it."""
        return sorted(
            self.versions.values(),
            key=lambda one: (
                not one.is_of_history,
                int(one.name) if one.is_of_history else 0,
                one.name != "production",
                one.name,
            ),
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that is to be imported, and what the files say that Parley cannot take over."""

    prompts: tuple[PromptDraft, ...]
    notes: tuple[FileProblem, ...] = ()
