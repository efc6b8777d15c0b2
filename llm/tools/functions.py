"""Tools that run on our side: Python functions that a model may call."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog
from asgiref.sync import sync_to_async
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from llm.types import FunctionDefinition, Tool

logger = structlog.get_logger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])


class ToolFailed(Exception):
    """Raised by a tool for what the model should know: the message is told to it."""


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A function with the schema of its arguments, made from its signature."""

    name: str
    description: str
    arguments: type[BaseModel]
    function: Callable[..., Any]

    @property
    def definition(self) -> Tool:
        """What a model is told of the tool."""
        schema = self.arguments.model_json_schema()
        return Tool(FunctionDefinition(self.name, self.description, schema))

    async def call(self, arguments: str, *, seconds: float) -> str:
        """Return the result as text for the model; whatever fails is told to it as well.

        A function that is not async runs in a thread, which goes on when the time is over.
        """
        try:
            given = self.arguments.model_validate_json(arguments or "{}")
            async with asyncio.timeout(seconds):
                return _as_text(await self._run(dict(given)))
        except ValidationError as error:
            return f"Error: the arguments do not fit. {_first(error)}"
        except ToolFailed as error:
            return f"Error: {error}"
        except TimeoutError:
            return "Error: the tool took too long."
        except Exception:  # the edge to somebody's function: the model hears of it, the log why
            logger.exception("llm.tool_failed", tool=self.name)
            return "Error: the tool failed."

    async def _run(self, arguments: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self.function):
            awaitable: Awaitable[Any] = self.function(**arguments)
        else:
            awaitable = sync_to_async(self.function, thread_sensitive=False)(**arguments)
        return await awaitable


def register(function: Function) -> Function:
    """Let runs use `function` by its name; its docstring is what models are told of it.

    Every parameter has a type; `Annotated[str, Field(description="...")]` explains one.
    """
    name = function.__name__
    if name in _registered:
        raise ValueError(f"There is a tool of the name {name} already.")
    _registered[name] = ServerTool(
        name=name,
        description=inspect.getdoc(function) or "",
        arguments=_arguments_of(function),
        function=function,
    )
    return function


def registered(name: str) -> ServerTool:
    """Return the tool of that name, or raise `KeyError`."""
    return _registered[name]


def _arguments_of(function: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if not is_named or parameter.annotation is parameter.empty:
            raise TypeError(f"{function.__name__}: {parameter} needs a name and a type.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    # A parameter may be called `model_name`: pydantic keeps that prefix to itself unless told.
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(function.__name__, __config__=config, **fields)


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    if isinstance(result, BaseModel):
        return result.model_dump_json()
    return msgspec.json.encode(result, enc_hook=str).decode()


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'arguments'}: {first['msg']}"


_registered: dict[str, ServerTool] = {}
