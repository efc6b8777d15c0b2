"""JSON schemas of callers: what they may say, and that no pattern keeps the server busy."""

import subprocess
import sys
from typing import Any

import pytest
from jsonschema import ValidationError

from core.errors import InvalidRequest
from llm import json_schema

SLOW = "^(a+)+$"  # Python's engine takes twice as long for each further letter
VALUE = "a" * 60 + "!"
PATIENCE = 120  # seconds; Python's engine would take longer than the universe is old


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, VALUE),
        ({"propertyNames": {"pattern": SLOW}}, {VALUE: 1}),
        ({"patternProperties": {SLOW: True}, "additionalProperties": False}, {VALUE: 1}),
        ({"patternProperties": {SLOW: {"type": "string"}}, "required": ["x"]}, {VALUE: 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "pattern": SLOW}, VALUE),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": ["array", "string"],
                "pattern": SLOW,
                "items": {"$ref": "#"},
            },
            [VALUE],
        ),
    ],
)
def test_a_pattern_that_would_never_end_ends(schema: dict[str, Any], value: Any) -> None:
    # In a process of its own: Python's engine can only be stopped from outside.
    program = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "from jsonschema import ValidationError\n"
        "from llm import json_schema\n"
        "try:\n"
        f"    json_schema.validator({schema!r}).validate({value!r})\n"
        "except ValidationError:\n"
        "    print('refused')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=PATIENCE, capture_output=True, text=True
    )

    assert ended.stdout == "refused\n", ended.stderr


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    try:
        json_schema.validator(schema).validate(value)
    except ValidationError:
        return False
    return True


def test_patterns_mean_what_they_say() -> None:
    code = {"type": "string", "pattern": r"^[A-Z]{2}-\d+$"}
    places = {
        "properties": {"name": {"type": "string"}},
        "patternProperties": {"^n_": {"type": "integer"}},
        "additionalProperties": {"type": "boolean"},
    }

    assert is_valid(code, "AB-12")
    assert not is_valid(code, "AB-x")
    assert is_valid({"pattern": "b"}, "abc")
    assert is_valid({"pattern": "b"}, 7)
    assert is_valid(places, {"name": "Oslo", "n_people": 7, "is_capital": True})
    assert not is_valid(places, {"n_people": "many"})
    assert not is_valid(places, {"people": 7})
    assert not is_valid({"additionalProperties": False}, {"people": 7})
    assert is_valid({"additionalProperties": False}, "no object")


def test_a_text_too_long_for_a_pattern_does_not_fit_it() -> None:
    longest = json_schema.LONGEST_TEXT

    assert is_valid({"pattern": "^a*$"}, "a" * longest)
    assert not is_valid({"pattern": "^a*$"}, "a" * (longest + 1))


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(?=a)b"},
        {"$defs": {"x": {"items": {"pattern": r"(a)\1"}}}},
        {"patternProperties": {"(?<!a)b": True}},
        {"pattern": "(?:(?:a{1000}){1000}){1000}"},
        {"patternProperties": {"a": True}, "unevaluatedProperties": False},
        {"$defs": {"x": {"$schema": "http://json-schema.org/draft-07/schema#"}}},
        {"type": "wish"},
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused_before_use(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        json_schema.validator(schema)

    assert refusal.value.param == "schema"


def test_a_schema_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(3000):
        schema = {"items": schema}

    with pytest.raises(InvalidRequest):
        json_schema.validator(schema)


def test_a_property_may_be_called_pattern() -> None:
    schema = {"properties": {"pattern": {"type": "string"}, "$schema": {"type": "string"}}}

    assert is_valid(schema, {"pattern": "(?=a)"})
    assert not is_valid(schema, {"pattern": 1})


def test_many_different_items_are_told_apart_in_no_time() -> None:
    items = [{"a": [number]} for number in range(20_000)]  # each with each takes half an hour

    json_schema.validator({"uniqueItems": True}).validate(items)


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, {"b": 1}], True),
        ({"uniqueItems": True}, [1, 1.0], False),
        ({"uniqueItems": True}, [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
        ({"uniqueItems": True}, [[True], [1]], True),
        ({"uniqueItems": False}, [1, 1], True),
        ({"uniqueItems": True}, "aa", True),
        ({"multipleOf": 0.1}, 0.3, True),
        ({"multipleOf": 2}, 3, False),
        ({"multipleOf": 2}, True, True),
        ({"multipleOf": 0.5}, 10**400, True),
        ({"multipleOf": 0.5}, float("nan"), False),
        ({"multipleOf": 0.5}, float("inf"), False),
        ({"multipleOf": float("inf")}, 1, False),
    ],
)
def test_items_and_numbers_are_compared_as_json_has_them(
    schema: dict[str, Any], value: Any, fits: bool
) -> None:
    assert is_valid(schema, value) is fits


def test_references_that_lead_to_ten_others_each_are_followed_so_far_and_no_further() -> None:
    levels = {
        f"level{number}": {"allOf": [{"$ref": f"#/$defs/level{number + 1}"}] * 10}
        for number in range(9)
    }
    schema = {"$ref": "#/$defs/level0", "$defs": {**levels, "level9": {"type": "string"}}}

    with pytest.raises(RecursionError):
        json_schema.validator(schema).validate("a")


def test_a_long_list_whose_items_share_a_schema_is_checked_to_its_end() -> None:
    schema = {"items": {"$ref": "#/$defs/row"}, "$defs": {"row": {"type": "integer"}}}

    assert is_valid(schema, [1] * 5_000)
    assert not is_valid(schema, [*[1] * 5_000, "1"])
