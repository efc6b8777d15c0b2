"""Values that the demo makes up for a JSON schema."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llm.providers.demo.sample import value_for

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 12},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "next"],
        }
    },
}
SCHEMAS: list[dict[str, Any]] = [
    {},
    CITY,
    TREE,
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "date-time"},
    {"type": ["null", "string"]},
    {"enum": ["red", "blue"]},
    {"const": 7},
    {"type": "integer", "exclusiveMinimum": 4, "multipleOf": 5},
    {"type": "number", "minimum": 0.25, "maximum": 0.75},
    {"type": "integer", "maximum": -3},
    {"type": "array", "minItems": 3, "uniqueItems": True, "items": {"type": "string"}},
    {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"enum": [1, 2, 3]}},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
    {"allOf": [CITY | {"additionalProperties": True}, {"required": ["more"]}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_a_value_satisfies_its_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator(schema).validate(value_for(schema))

    assert value_for(schema) == value_for(schema)
