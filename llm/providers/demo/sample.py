"""A value that satisfies a JSON schema: always the same one for the same schema."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

DEEPEST = 6  # schemas that contain themselves end here
FORMATS = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "email": "demo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def value_for(schema: Schema) -> Any:
    """Return a value of the schema. A `pattern` is not looked at."""
    return _Sampler(schema).value(schema, name="answer", number=0, depth=0)


class _Sampler:
    """Knows the whole schema, which its parts refer to."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def value(self, schema: Any, *, name: str, number: int, depth: int) -> Any:
        """Return a value for the place called `name`, the `number`th of its kind there."""
        if not isinstance(schema, Mapping):  # true: anything goes
            return f"demo {name}"
        schema = self._resolved(schema, depth)
        options = _options(schema)
        return (
            options[number % len(options)] if options else self._made(schema, name, number, depth)
        )

    def _made(self, schema: Schema, name: str, number: int, depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return _number(schema, number)
            case "boolean" | "null" as kind:
                return None if kind == "null" else number % 2 == 0
        return _text(schema, name, number)

    def _resolved(self, schema: Schema, depth: int) -> Schema:
        """Return the schema with what it refers to, and with the first of its alternatives."""
        merged = dict(schema)
        for _ in range(DEEPEST):  # a reference to a reference
            parts = list(merged.pop("allOf", ()))
            if reference := merged.pop("$ref", None):
                parts.append(self._referred(reference))
            if alternatives := merged.pop("anyOf", None) or merged.pop("oneOf", None):
                # The last one deep down: there "or null" ends what would go on for ever.
                parts.append(alternatives[-1 if depth >= DEEPEST else 0])
            if not parts:
                break
            for part in parts:
                merged = _merged(merged, part)
        return merged

    def _referred(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        return found

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        wanted = [name for name in properties if depth < DEEPEST or name in required]
        wanted += [name for name in required if name not in properties]
        return {
            name: self.value(properties.get(name, True), name=name, number=0, depth=depth + 1)
            for name in wanted
            if depth < 3 * DEEPEST
        }

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        firsts = schema.get("prefixItems", ())
        least = schema.get("minItems", 0 if depth >= DEEPEST else 1)
        length = max(least, len(firsts))
        length = min(length, schema.get("maxItems", length))
        rest = schema.get("items", True)
        return [
            self.value(
                firsts[number] if number < len(firsts) else rest,
                name=name,
                number=number,
                depth=depth + 1,
            )
            for number in range(length)
        ]


def _merged(one: Schema, other: Any) -> dict[str, Any]:
    if not isinstance(other, Mapping):
        return dict(one)
    merged = {**other, **one}
    for keyword in ("properties", "$defs"):
        if keyword in one and keyword in other:
            merged[keyword] = {**other[keyword], **one[keyword]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _options(schema: Schema) -> list[Any]:
    """Return the values that the schema itself names."""
    for keyword in ("const", "default"):
        if keyword in schema:
            return [schema[keyword]]
    return schema.get("enum") or schema.get("examples") or []


def _type_of(schema: Schema) -> str:
    known = schema.get("type")
    if isinstance(known, list):
        known = known[0] if known else None
    if isinstance(known, str):
        return known
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "integer" if "minimum" in schema or "maximum" in schema else "string"


def _number(schema: Schema, number: int) -> int | float:
    """Return a number within the bounds, a multiple of what is wanted."""
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    if least is None:
        least = 1 if most is None or most >= 1 else most - step
    found = -(-least // step) * step  # the first multiple that is not below
    if found == schema.get("exclusiveMinimum"):
        found += step
    found += number * step
    too_high = most is not None and (found > most or found == schema.get("exclusiveMaximum"))
    if too_high and schema.get("type") != "integer":
        found = (least + most) / 2  # there is no whole number between them
    return int(found) if found == int(found) else found


def _text(schema: Schema, name: str, number: int) -> str:
    if known := FORMATS.get(schema.get("format", "")):
        return known
    text = f"demo {name}" if not number else f"demo {name} {number + 1}"
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength", len(text))]
