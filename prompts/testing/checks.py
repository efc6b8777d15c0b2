"""What must be true of an answer: checks as cases keep them, and those that need no model."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from jsonschema import ValidationError
from msgspec import Meta, Struct
from referencing.exceptions import Unresolvable

from core.errors import AppError, InvalidRequest
from llm import json_schema

MOST_CHECKS = 20  # of a case
LONGEST_TEXT = 20_000  # characters of what is looked for, or of a rubric
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?")

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
Share = Annotated[float, Meta(ge=0, le=1)]
ModelName = Annotated[str, Meta(max_length=200)]


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """One thing that must be true of an answer."""


class Contains(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="contains"):
    """The text stands in the answer, or with `is_absent` it does not."""

    text: Text
    ignores_case: bool = True
    is_absent: bool = False


class Regex(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="regex"):
    """The pattern matches somewhere in the answer; it has no look-around or back reference."""

    pattern: Text
    is_absent: bool = False


class Equals(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="equals"):
    """The answer is this text, but for white space around it."""

    text: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    ignores_case: bool = False


class JsonSchema(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="json_schema"):
    """The answer is JSON that fits the schema, with or without a fence around it."""

    schema: dict[str, Any]


class Number(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="number"):
    """The last number in the answer is this one, or at most `tolerance` from it."""

    value: float
    tolerance: Annotated[float, Meta(ge=0)] = 0.0


class Similar(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="similar"):
    """An embedding model finds the answer as close to the text as `threshold`, or closer."""

    text: Text
    threshold: Share = 0.8  # cosine similarity
    model: ModelName


class Judge(Check, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="judge"):
    """A model that reads the rubric gives the answer at least `threshold`, from 0 to 1."""

    rubric: Text
    threshold: Share = 0.7
    model: ModelName


Exact = Contains | Regex | Equals | JsonSchema | Number
AnyCheck = Exact | Similar | Judge


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one check."""

    passed: bool
    why: str = ""  # it failed
    score: float | None = None  # from 0 to 1, where the check has one


def read(stored: Any) -> tuple[AnyCheck, ...]:
    """Return the checks of a case; raise `InvalidRequest` naming what is wrong with them."""
    try:
        checks = msgspec.convert(stored, tuple[AnyCheck, ...])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The checks are wrong: {error}.", param="checks") from None
    refuse_wrong(checks)
    return checks


def refuse_wrong(checks: Sequence[AnyCheck]) -> None:
    """Raise `InvalidRequest` where there are too many, or one that no answer could be put to."""
    if len(checks) > MOST_CHECKS:
        raise InvalidRequest(f"A case has at most {MOST_CHECKS} checks.", param="checks")
    for number, check in enumerate(checks, start=1):
        _refuse_what_cannot_be_checked(check, number)


def look(check: Exact, answer: str) -> Verdict:
    """Return what comes of a check that needs no model."""
    why = _WHYS[type(check)](check, answer)
    return Verdict(passed=not why, why=why)


def _refuse_what_cannot_be_checked(check: AnyCheck, number: int) -> None:
    try:
        if isinstance(check, Regex):
            json_schema.matches(check.pattern, "")
        elif isinstance(check, JsonSchema):
            json_schema.validator(check.schema)
        elif isinstance(check, Number) and not math.isfinite(check.value + check.tolerance):
            raise InvalidRequest("The number is not finite.")
        elif isinstance(check, Similar | Judge) and not check.model:
            raise InvalidRequest("Name the model that is asked.")
    except AppError as error:
        raise InvalidRequest(f"Check {number}: {error.message}", param="checks") from None


def _contains(check: Contains, answer: str) -> str:
    text, said = check.text, answer
    if check.ignores_case:
        text, said = text.casefold(), said.casefold()
    if (text in said) != check.is_absent:
        return ""
    return f"“{check.text}” is {'' if check.is_absent else 'not '}in the answer."


def _regex(check: Regex, answer: str) -> str:
    if len(answer) > json_schema.LONGEST_TEXT:
        return (
            f"The answer is longer than the {json_schema.LONGEST_TEXT:,} characters for patterns."
        )
    if json_schema.matches(check.pattern, answer) != check.is_absent:
        return ""
    return f"The pattern {check.pattern} {'matches' if check.is_absent else 'does not match'}."


def _equals(check: Equals, answer: str) -> str:
    text, said = check.text.strip(), answer.strip()
    if check.ignores_case:
        text, said = text.casefold(), said.casefold()
    return "" if text == said else f"The answer is not “{check.text.strip()}”."


def _json_schema(check: JsonSchema, answer: str) -> str:
    try:
        value = json.loads(_without_fence(answer))
    except (ValueError, RecursionError):
        return "The answer is not JSON."
    try:
        json_schema.validator(check.schema).validate(value)
    except ValidationError as error:
        place = "".join(f"[{step!r}]" for step in error.absolute_path)
        return f"The answer{place} does not fit: {error.message[:300]}."
    except (Unresolvable, RecursionError):
        return "The schema names a part that it does not have, or is too deep."
    return ""


def _number(check: Number, answer: str) -> str:
    found = NUMBER.findall(answer)
    if not found:
        return "There is no number in the answer."
    value = float(found[-1].replace(",", ""))
    # A few units in the last place are no difference: 0.1 + 0.2 is 0.3 to whoever writes a case.
    if math.isclose(value, check.value, rel_tol=1e-12, abs_tol=check.tolerance):
        return ""
    return f"The number is {value:g}, not {check.value:g}."


def _without_fence(answer: str) -> str:
    """Return what stands in a Markdown fence, if the whole answer is one."""
    text = answer.strip()
    if not (text.startswith("```") and text.endswith("```")):
        return text
    return text.removesuffix("```").partition("\n")[2]


_WHYS: Mapping[type[Check], Callable[[Any, str], str]] = {
    Contains: _contains,
    Regex: _regex,
    Equals: _equals,
    JsonSchema: _json_schema,
    Number: _number,
}


def keepable(text: str) -> str:
    """Return the text as PostgreSQL can keep it, which has no zero character."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def stored(verdicts: Sequence[tuple[AnyCheck, Verdict]]) -> list[dict[str, Any]]:
    """Return the JSON of what came of each check, as a result keeps it."""
    return [
        {
            "kind": check.__struct_config__.tag,
            "passed": verdict.passed,
            "why": keepable(verdict.why),
        }
        | ({} if verdict.score is None else {"score": verdict.score})
        for check, verdict in verdicts
    ]
