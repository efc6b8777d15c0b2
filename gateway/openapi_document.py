"""The part of the OpenAPI document that tells of `/v1`, made of the list in `gateway.openapi`."""

import re
from typing import Any

import msgspec

from gateway.openapi import OPERATIONS, Operation

Json = dict[str, Any]

REFERENCE = "#/components/schemas/"
PREFIX = "V1"  # of the components' names, so that they are nobody else's
KEY = "key"  # the security scheme that `accounts.api_schema` describes
ANTHROPIC_KEY = "anthropicKey"
REST_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable; the message is for people."},
                "message": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "fields": {"type": "object", "description": "What is wrong, by field."},
            },
        }
    },
}


def complete(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """Add `/v1` to what drf-spectacular has found, and the shape of failures to all."""
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Error"] = REST_ERROR
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"].setdefault("default", _json("A failure.", _reference("Error")))
            _let_filters_be_empty(operation)
    described, found = _schemas()
    schemas |= found
    components.setdefault("securitySchemes", {})[ANTHROPIC_KEY] = {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same API key, where Anthropic's client puts it.",
    }
    paths: Json = {}
    for operation in OPERATIONS:
        path = paths.setdefault(operation.path, {})
        path[operation.method] = _operation(operation, described)
    result["paths"] = paths | result["paths"]  # what most have come for stands first
    return result


def _let_filters_be_empty(operation: Json) -> None:
    """Say that a filter that is sent without a value filters nothing, as a form sends it."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter["name"] != "page_size":
            parameter["allowEmptyValue"] = True


def _operation(operation: Operation, described: "dict[Any, Json]") -> Json:
    found: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs a key with the scope `{operation.scope}`, if it has scopes.",
        "tags": [operation.tag],
        "security": [{KEY: []}, {ANTHROPIC_KEY: []}],
        "responses": {
            "200": _answer(operation, described),
            "default": _json("A failure.", described[operation.error]),
        },
    }
    if operation.request is not None:
        content = {operation.request_media: {"schema": described[operation.request]}}
        found["requestBody"] = {"required": True, "content": content}
    if operation.parameters:
        found["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.required,
                "description": parameter.description,
                "schema": described[parameter.type],
            }
            for parameter in operation.parameters
        ]
    return found


def _answer(operation: Operation, described: "dict[Any, Json]") -> Json:
    content: Json = {operation.answer_media: {}}
    if operation.answer is not None:
        content[operation.answer_media] = {"schema": described[operation.answer]}
    text = "The answer."
    if operation.event is not None:
        text = "The answer, or with `stream: true` server-sent events: see the schema of one."
        content["text/event-stream"] = {
            "schema": {"description": "Server-sent events."},
            "x-event": described[operation.event],
        }
    return {"description": text, "content": content}


def _schemas() -> "tuple[dict[Any, Json], Json]":
    """Return the schema of each type that the list names, and the components they refer to."""
    types = [
        found
        for operation in OPERATIONS
        for found in (
            *(operation.request, operation.answer, operation.event, operation.error),
            *(parameter.type for parameter in operation.parameters),
        )
        if found is not None
    ]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE + "{name}")
    described = {found: _written(schema) for found, schema in zip(types, schemas, strict=True)}
    written = {_name(name): _written(schema) for name, schema in components.items()}
    usage = written["V1EncodingUsage"]
    usage["required"] = [one for one in usage["required"] if not one.endswith("_details")]
    return described, written


def _written(schema: Any) -> Any:
    """Return a schema as the document has it: names with the prefix, patterns as JavaScript's."""
    if isinstance(schema, list):
        return [_written(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    written = {name: _written(value) for name, value in schema.items()}
    if isinstance(reference := written.get("$ref"), str):
        written["$ref"] = REFERENCE + _name(reference.removeprefix(REFERENCE))
    if isinstance(pattern := written.get("pattern"), str):
        written["pattern"] = pattern.replace(r"\Z", "$")
    if written.get("default") == "" and "minLength" in written:
        del written["default"]  # it stands for what was left out, and may not be sent
    if isinstance(mapping := written.get("mapping"), dict):
        written["mapping"] = {
            value: REFERENCE + _name(reference.removeprefix(REFERENCE))
            for value, reference in mapping.items()
        }
    return written


def _name(name: str) -> str:
    """Return the name of a component: `gateway.messages.answer.Text` is `V1MessagesAnswerText`."""
    parts = re.split(r"[._]", name.removeprefix("gateway."))
    return PREFIX + "".join(part[:1].upper() + part[1:] for part in parts)


def _reference(name: str) -> Json:
    return {"$ref": REFERENCE + name}


def _json(text: str, schema: Json) -> Json:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
