"""Why a prompt cannot be saved, found or rendered."""

from collections.abc import Sequence
from typing import NamedTuple

from core.errors import AppError


class Problem(NamedTuple):
    """One thing that is wrong with the content of a version, and where."""

    place: str  # `messages[0]`, `locales.de[0]`, `variables[2]`, `settings.top_p`, `output_schema`
    line: int | None  # of the template that stands there
    text: str  # a sentence

    @property
    def sentence(self) -> str:
        """Return what is wrong with its place, for where all problems stand in one text."""
        kind, _, number = self.place.removesuffix("]").rpartition("[")
        if not number.isdecimal() or not (kind == "messages" or kind.startswith("locales.")):
            return self.text
        where = f"Message {int(number) + 1}"
        if locale := kind.removeprefix("messages").removeprefix("locales."):
            where += f" in {locale}"
        if self.line is not None:
            where += f", line {self.line}"
        return f"{where}: {self.text}"


class PromptNotFound(AppError):
    """There is no such prompt, or nothing carries the label."""

    code = "prompt_not_found"
    http_status = 404


class PromptExists(AppError):
    """The organization already has a prompt of this name."""

    code = "prompt_exists"
    http_status = 409


class PromptContentInvalid(AppError):
    """The new version cannot be kept: `problems` says all that is wrong with what it says."""

    code = "prompt_content_invalid"
    http_status = 400

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(
            message or " ".join(problem.sentence for problem in problems),
            details=_by_place(problems),
        )
        self.problems = tuple(problems)


def _by_place(problems: Sequence[Problem]) -> dict[str, str]:
    """Return the problems for programs: `{"messages[0]:3": "the variable …"}`."""
    found: dict[str, str] = {}
    for place, line, text in problems:
        key = place if line is None else f"{place}:{line}"
        found[key] = f"{found[key]} {text}" if key in found else text
    return found


class PromptVariablesInvalid(AppError):
    """The values do not fit the variables of the version: missing, unknown or of a wrong kind."""

    code = "prompt_variables_invalid"
    http_status = 400


class PromptRenderFailed(AppError):
    """The template does not work with these values, or says too much."""

    code = "prompt_render_failed"
    http_status = 400
