"""An answer as a value: a JSON schema or a pydantic model in, a validated object out.

What models write is repaired where only its form is wrong (a fence around it, a comma too many).
What does not fit the schema is asked for once more, with the error.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import json_repair
import structlog
from jsonschema import ValidationError
from msgspec.structs import replace
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError
from referencing.exceptions import Unresolvable

from core.errors import AppError, InvalidRequest
from llm import json_schema
from llm.routing import routes
from llm.types import (
    Call,
    ChatRequest,
    Delta,
    Event,
    Finished,
    FunctionDefinition,
    Message,
    Stream,
    Tool,
)

logger = structlog.get_logger(__name__)

Value = TypeVar("Value")

NAME = "answer"
LONGEST_ERROR = 500  # characters that are told to the model


class AnswerInvalid(AppError):
    """The model's answer does not fit the schema, also when it was asked again."""

    code = "answer_invalid"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Parsed(Generic[Value]):
    """A validated answer, and what it took: one `Finished` for each time the model was asked."""

    value: Value
    finished: Sequence[Finished]


class Misfit(Exception):
    """What is wrong with an answer, in words for the model."""


async def parse(
    request: ChatRequest, schema: type[BaseModel] | dict[str, Any], call: Call, stream: Stream
) -> Parsed[Any]:
    """Return what `llm.service.parse` promises, asking through `stream`."""
    form = _Form(schema)
    route = await routes.find(request.model, call.principal)
    has_schema_mode = any(deployment.takes_schema for deployment in route.deployments)
    asked = form.as_schema(request) if has_schema_mode else form.as_tool(request)
    text, finished = await _ask(stream(asked, call))
    try:
        return Parsed(form.read(text), (finished,))
    except Misfit as misfit:
        logger.warning("llm.answer_misfit", model=request.model, request_id=call.request_id)
        again, finished_again = await _ask(stream(_correction(asked, text, misfit), call))
    try:
        return Parsed(form.read(again), (finished, finished_again))
    except Misfit as misfit:
        raise AnswerInvalid(f"The model's answer does not fit the schema: {misfit}") from misfit


class _Form:
    """The schema, whichever way it was given."""

    def __init__(self, schema: type[BaseModel] | dict[str, Any]) -> None:
        self._model = schema if isinstance(schema, type) else None
        self._schema = schema if isinstance(schema, dict) else schema.model_json_schema()
        self._validator = json_schema.validator(schema) if isinstance(schema, dict) else None

    def as_schema(self, request: ChatRequest) -> ChatRequest:
        return replace(
            request,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": NAME, "schema": self._schema},
            },
        )

    def as_tool(self, request: ChatRequest) -> ChatRequest:
        definition = FunctionDefinition(NAME, "Give the answer.", self._schema)
        choice = {"type": "function", "function": {"name": NAME}}
        return replace(request, tools=(Tool(definition),), tool_choice=choice)

    def read(self, text: str) -> Any:
        """Return the value that `text` stands for, or raise `Misfit`."""
        value = _value_of(text)
        try:
            if self._model is not None:
                return self._model.model_validate(value)
            if self._validator is not None:
                self._validator.validate(value)
        except PydanticError as error:
            first = error.errors()[0]
            raise Misfit(_placed(first["msg"], first["loc"])) from None
        except ValidationError as error:
            raise Misfit(_placed(error.message, error.absolute_path)) from None
        except (Unresolvable, RecursionError):
            raise InvalidRequest(
                "The JSON schema has a `$ref` that leads nowhere, or to too many others.",
                param="schema",
            ) from None
        return value


async def _ask(answer: AsyncGenerator[Event, None]) -> tuple[str, Finished]:
    """Return the whole answer, or the arguments of the tool that stands for it."""
    parts: list[str] = []
    async with aclosing(answer) as events:
        async for event in events:
            if isinstance(event, Delta):
                parts.append(event.text)
                parts += (tool_call.arguments for tool_call in event.tool_calls)
            elif isinstance(event, Finished):
                return "".join(parts), event
    raise AnswerInvalid("The model's answer has no end.")


def _correction(asked: ChatRequest, text: str, misfit: Misfit) -> ChatRequest:
    """Return the same question with the answer, and what is wrong with it."""
    messages = (
        *asked.messages,
        Message("assistant", text or "(nothing)"),
        Message("user", f"That does not fit the schema: {misfit}. Give the corrected JSON alone."),
    )
    return replace(asked, messages=messages)


def _value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        repaired = json_repair.loads(text)
    # It gives an empty string for what has nothing of JSON.
    if repaired == "":
        raise Misfit("it is not JSON")
    return repaired


def _placed(what: str, path: Sequence[Any]) -> str:
    place = ".".join(map(str, path))
    return f"{what[:LONGEST_ERROR]} (at {place})" if place else what[:LONGEST_ERROR]
