"""Functions that a model may call, and which of them it must."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from core.errors import InvalidRequest
from gateway.errors import UnsupportedParameter
from gateway.validation import decode
from llm.types import FunctionDefinition, Tool

Choice = str | dict[str, Any] | None


class FunctionTool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's form of a function; what must be null would change something."""

    name: str
    type: Literal["function"]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    output_schema: None = None
    allowed_callers: tuple[Literal["direct"], ...] | None = None
    defer_loading: Literal[False] | None = None
    is_async: Literal[False] | None = msgspec.field(default=None, name="async")


class Head(Struct, frozen=True):
    """Enough of a tool to know what it is."""

    type: str


class ChosenFunction(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    type: Literal["function"]


class AllowedTools(Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    mode: Literal["auto", "required"]
    tools: tuple[ChosenFunction, ...]


_head = msgspec.json.Decoder(Head)
_function = msgspec.json.Decoder(FunctionTool)
_chosen = msgspec.json.Decoder(ChosenFunction)
_allowed = msgspec.json.Decoder(AllowedTools)


def functions_of(sent: Sequence[Raw] | None) -> tuple[FunctionTool, ...]:
    """Return the functions, or raise an error that names the tool and its field."""
    return tuple(_read(tool, f"tools[{index}]") for index, tool in enumerate(sent or ()))


def offered(
    functions: Sequence[FunctionTool], wanted: Choice
) -> tuple[tuple[Tool, ...], str | dict[str, Any] | None]:
    """Return the tools that a model is told of, and its choice, in the words of `ChatRequest`."""
    if not isinstance(wanted, dict):
        if wanted == "required" and not functions:
            raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
        return _as_tools(functions), wanted
    body = msgspec.json.encode(wanted)
    if wanted.get("type") == "function":
        name = decode(_chosen, body, at="tool_choice").name
        _check_known({name}, functions)
        return _as_tools(functions), {"type": "function", "function": {"name": name}}
    if wanted.get("type") != "allowed_tools":
        raise UnsupportedParameter(
            f"`tool_choice` cannot be of the type `{wanted.get('type')}`: "
            "Parley takes `function` and `allowed_tools`.",
            param="tool_choice",
        )
    allowed = decode(_allowed, body, at="tool_choice")
    names = {tool.name for tool in allowed.tools}
    _check_known(names, functions)
    return _as_tools([tool for tool in functions if tool.name in names]), allowed.mode


def _read(tool: Raw, at: str) -> FunctionTool:
    kind = decode(_head, tool, at=at).type
    if kind != "function":
        raise UnsupportedParameter(
            f"`{at}` is of the type `{kind}`, which the vendor would run and Parley cannot price. "
            "Parley takes tools of the type `function`.",
            param=f"{at}.type",
        )
    return decode(_function, tool, at=at)


def _as_tools(functions: Sequence[FunctionTool]) -> tuple[Tool, ...]:
    return tuple(
        Tool(FunctionDefinition(tool.name, tool.description, tool.parameters, tool.strict))
        for tool in functions
    )


def _check_known(names: set[str], functions: Sequence[FunctionTool]) -> None:
    unknown = names - {tool.name for tool in functions}
    if unknown:
        raise InvalidRequest(
            f"`tool_choice` names `{min(unknown)}`, which is not among the `tools`.",
            param="tool_choice",
        )
