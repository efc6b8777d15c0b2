"""JSON schemas of callers, checked without a way to keep the server busy.

Python's engine for regular expressions tries every way to match: `^(a+)+$` takes longer than anyone
waits for 40 letters. Here patterns run in Rust's, whose time grows with the text and no faster; it
knows neither look-around nor back references, so a schema with these is refused. Equal items are
found by their hash: to compare each with each takes a minute for 3,000 objects.
"""

import math
from collections.abc import Hashable, Iterator
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from referencing import Registry

from core.errors import InvalidRequest

LONGEST_TEXT = 10_000  # characters that a pattern looks at; the slowest takes half a second for it
MOST_REFERENCES = 10_000  # that one value makes us follow; it takes about half a second
DIALECT = "$schema"
NOTHING_ELSE: Registry[Any] = Registry()  # a schema that names another one has nobody fetch it

Schema = dict[str, Any]
Errors = Iterator[ValidationError]

_references_left: ContextVar[int] = ContextVar("references_left")


class Checker:
    """A schema that values can be held against."""

    def __init__(self, schema: Schema) -> None:
        self._validator: Draft202012Validator = _Linear(schema, registry=NOTHING_ELSE)

    def validate(self, value: Any) -> None:
        """Raise `ValidationError` where `value` does not fit.

        Raises `Unresolvable` for a `$ref` that leads nowhere, and `RecursionError` where they lead
        on and on.
        """
        before = _references_left.set(MOST_REFERENCES)
        try:
            self._validator.validate(value)
        finally:
            _references_left.reset(before)


def validator(schema: Schema) -> Checker:
    """Return what checks values against `schema`; raise `InvalidRequest` where nothing could."""
    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        reason = error.message if isinstance(error, SchemaError) else "it is too deep"
        raise _refusal(f"This is no JSON schema: {reason}") from None
    # Whatever stands there, it is read as 2020-12; a `$ref` to the root must not think otherwise.
    own = {name: value for name, value in schema.items() if name != DIALECT}
    _check(own)
    return Checker(own)


def _check(schema: Schema) -> None:
    """Refuse what would bring Python's engine back, and patterns that Rust's does not know."""
    keywords: set[str] = set()
    for part in _objects(schema):
        keywords |= part.keys()
        if isinstance(part.get(DIALECT), str):
            raise _refusal("A JSON schema names its dialect at its top only.")
        by_name = part.get("patternProperties")
        for pattern in (part.get("pattern"), *(by_name if isinstance(by_name, dict) else ())):
            if isinstance(pattern, str):
                _compiled(pattern)
    if keywords >= {"patternProperties", "unevaluatedProperties"}:
        raise _refusal(
            "A JSON schema with `patternProperties` has `additionalProperties`, "
            "not `unevaluatedProperties`."
        )


def _objects(schema: Schema) -> Iterator[Schema]:
    """Yield every object in a schema: a `$ref` may lead to any of them."""
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError:
        raise _refusal(
            f"The pattern {pattern[:100]!r} is not one, is too large, or has a look-around "
            "or a back reference."
        ) from None


def matches(pattern: str, text: str) -> bool:
    """Return whether the pattern is found in the text, which is not longer than `LONGEST_TEXT`.

    Raises `InvalidRequest` where the pattern is none.
    """
    checker = _compiled(pattern)
    return len(text) <= LONGEST_TEXT and checker.isinstance_python(text)


def _pattern(checker: Any, pattern: str, value: Any, schema: Schema) -> Errors:
    if isinstance(value, str) and not matches(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(checker: Any, patterns: Schema, value: Any, schema: Schema) -> Errors:
    if not isinstance(value, dict):
        return
    for pattern, below in patterns.items():
        for name, item in value.items():
            if matches(pattern, name):
                yield from checker.descend(item, below, path=name, schema_path=pattern)


def _additional_properties(checker: Any, below: Any, value: Any, schema: Schema) -> Errors:
    if not isinstance(value, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in value.items():
        if name in named or any(matches(pattern, name) for pattern in patterns):
            continue
        if below is False:
            yield ValidationError(f"{name!r} is a property that was not asked for")
        else:
            yield from checker.descend(item, below, path=name)


def _unique_items(checker: Any, is_wanted: bool, value: Any, schema: Schema) -> Errors:
    if is_wanted and isinstance(value, list) and len(set(map(_identity, value))) < len(value):
        yield ValidationError("There are items in it more than once")


def _identity(value: Any) -> Hashable:
    """Return what is equal for values that are equal in JSON, where 1 is 1.0 and no `true`."""
    if isinstance(value, list):
        return "list", tuple(map(_identity, value))
    if isinstance(value, dict):
        return "object", frozenset((name, _identity(item)) for name, item in value.items())
    return isinstance(value, bool), value


def _multiple_of(checker: Any, of: float, value: Any, schema: Schema) -> Errors:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    are_numbers = _is_finite(value) and _is_finite(of)
    # As they are written: 0.3 is three times 0.1, which it is not in binary.
    if not are_numbers or Fraction(str(value)) % Fraction(str(of)):
        yield ValidationError(f"{value} is not a multiple of {of}")


def _is_finite(number: float) -> bool:
    return isinstance(number, int) or math.isfinite(number)


def _reference(checker: Any, ref: str, value: Any, schema: Schema) -> Errors:
    """Follow a `$ref`, but no more often than anyone's schema needs: each may lead to ten more."""
    left = _references_left.get() - 1
    if left < 0:
        raise RecursionError("too many references")
    _references_left.set(left)
    yield from checker._validate_reference(ref=ref, instance=value)


def _refusal(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="schema")


_Linear = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "multipleOf": _multiple_of,
        "$ref": _reference,
        "$dynamicRef": _reference,
    },
)
