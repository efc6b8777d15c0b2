"""What is wrong with the content of a version, apart from its templates."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import UNSET

from core.errors import InvalidRequest
from llm import json_schema
from llm.types import FunctionDefinition, Tool
from prompts.content import (
    MessageTemplate,
    ModelSettings,
    OutputSchema,
    PromptContent,
    Variable,
)
from prompts.engine import locales, variables
from prompts.errors import Problem

MAX_MESSAGES = 50
MAX_TEMPLATE = 200_000  # characters
MAX_LOCALES = 50
MAX_VARIABLES = 100
MAX_OPTIONS = 100
LONGEST_OPTION = 200  # characters
LONGEST_VALUE = 1_000_000  # characters or items that `max_length` may allow
MAX_TOOLS = 128
MAX_STOPS = 4
LONGEST_STOP = 200  # characters
LONGEST_MODEL = 200
MOST_TOKENS = 2**31 - 1
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
RESERVED = {"True", "False", "None", "forloop"}
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MODEL_NAME = re.compile(rf"[^\x00-\x1f\x7f]{{1,{LONGEST_MODEL}}}")

WRONG_TEMPERATURE = "The temperature must be between 0 and 2."
WRONG_MAX_TOKENS = "The largest number of output tokens must be at least 1."
WRONG_TOP_P = "Top-p must be between 0 and 1."
WRONG_SEED = "The seed must be a whole number of at most 64 bits."
WRONG_STOP = f"There are at most {MAX_STOPS} texts to stop at, of 1 to {LONGEST_STOP} characters."
WRONG_MODEL = f"The name of a model has 1 to {LONGEST_MODEL} characters."
WRONG_EFFORT = f"The effort is one of {', '.join(EFFORTS)}."


def problems_of(content: PromptContent) -> Iterator[Problem]:
    """Yield all that is wrong, whatever the templates say."""
    yield from _of_messages("messages", content.messages)
    yield from _of_locales(content)
    yield from _of_variables(content.variables)
    yield from _of_settings(content.settings)
    yield from _of_tools(content.tools)
    if content.output_schema is not None:
        yield from _of_output_schema(content.output_schema)


def _of_messages(place: str, messages: Sequence[MessageTemplate]) -> Iterator[Problem]:
    if not any(message.template.strip() for message in messages):
        whose = place.removeprefix("locales.")
        who = "The prompt" if place == "messages" else f"The prompt in {whose}"
        yield Problem(place, None, f"{who} says nothing: write at least one message.")
    if len(messages) > MAX_MESSAGES:
        yield Problem(place, None, f"A prompt has at most {MAX_MESSAGES} messages.")
    for number, message in enumerate(messages):
        if len(message.template) > MAX_TEMPLATE:
            text = f"it is longer than {MAX_TEMPLATE:,} characters."
            yield Problem(f"{place}[{number}]", None, text)


def _of_locales(content: PromptContent) -> Iterator[Problem]:
    default = content.default_locale
    if text := _wrong_tag(default):
        yield Problem("default_locale", None, text)
    if len(content.locales) > MAX_LOCALES:
        yield Problem("locales", None, f"A prompt has at most {MAX_LOCALES} languages.")
    for tag, messages in content.locales.items():
        place = f"locales.{tag}"
        if text := _wrong_tag(tag):
            yield Problem(place, None, text)
        if tag == default:
            text = f"The messages themselves are in {tag}, so there is no variant in it."
            yield Problem(place, None, text)
        yield from _of_messages(place, messages)


def _wrong_tag(tag: str) -> str:
    written = locales.canonical(tag)
    if not written:
        return f"“{tag}” is not a language: write it like en, de-AT or zh-Hant."
    return f"Write the language “{tag}” as {written}." if tag != written else ""


def _of_variables(declared: Sequence[Variable]) -> Iterator[Problem]:
    if len(declared) > MAX_VARIABLES:
        yield Problem("variables", None, f"A prompt has at most {MAX_VARIABLES} variables.")
    seen: set[str] = set()
    for number, variable in enumerate(declared):
        texts = [*_of_variable(variable)]
        if variable.name in seen:
            texts.append(f"The variable “{variable.name}” is declared twice.")
        seen.add(variable.name)
        for text in texts:
            yield Problem(f"variables[{number}]", None, text)


def _of_variable(variable: Variable) -> Iterator[str]:
    name, is_measured = variable.name, variable.type in ("text", "list")
    if not NAME.fullmatch(name) or name in RESERVED:
        yield f"“{name}” is not a name: use letters, digits and underscores, a letter first."
    yield from _of_options(variable)
    if not is_measured and not variable.may_be_empty:
        yield f"“{name}” cannot be empty anyway: only a text or a list can."
    if not is_measured and variable.max_length is not None:
        yield f"“{name}” has no length: only a text or a list has one."
    elif variable.max_length is not None and not 1 <= variable.max_length <= LONGEST_VALUE:
        yield f"The greatest length of “{name}” is between 1 and {LONGEST_VALUE:,}."
    if variable.default is None:
        return
    if variable.required:
        yield f"The variable “{name}” is required, so it cannot have a default."
    elif reason := variables.misfit(variable, variable.default):
        yield f"The default of “{name}” {reason[1]}."


def _of_options(variable: Variable) -> Iterator[str]:
    name, options = variable.name, variable.options
    if variable.type != "choice":
        if options:
            yield f"“{name}” is no choice, so it has no options."
        return
    if not options:
        yield f"“{name}” is a choice: give it options."
    if len(options) > MAX_OPTIONS:
        yield f"“{name}” has at most {MAX_OPTIONS} options."
    if len(set(options)) < len(options):
        yield f"“{name}” has an option twice."
    if any(not option.strip() or len(option) > LONGEST_OPTION for option in options):
        yield f"An option of “{name}” has 1 to {LONGEST_OPTION} characters."


def _of_settings(settings: ModelSettings) -> Iterator[Problem]:
    model, effort = settings.model, settings.reasoning_effort
    rules = (
        ("temperature", _is_between(0, settings.temperature, 2), WRONG_TEMPERATURE),
        ("max_tokens", _is_between(1, settings.max_tokens, MOST_TOKENS), WRONG_MAX_TOKENS),
        ("top_p", _is_between(0, settings.top_p, 1), WRONG_TOP_P),
        ("seed", _is_between(-(2**63), settings.seed, 2**63 - 1), WRONG_SEED),
        ("stop", _are_stops(settings.stop), WRONG_STOP),
        ("model", model is None or MODEL_NAME.fullmatch(model), WRONG_MODEL),
        ("reasoning_effort", effort is None or effort in EFFORTS, WRONG_EFFORT),
    )
    for name, is_right, text in rules:
        if not is_right:
            yield Problem(f"settings.{name}", None, text)


def _is_between(least: float, value: float | None, most: float) -> bool:
    return value is None or (math.isfinite(value) and least <= value <= most)


def _are_stops(stops: Sequence[str]) -> bool:
    return len(stops) <= MAX_STOPS and all(1 <= len(stop) <= LONGEST_STOP for stop in stops)


def _of_tools(tools: Sequence[Tool]) -> Iterator[Problem]:
    if len(tools) > MAX_TOOLS:
        yield Problem("tools", None, f"A prompt has at most {MAX_TOOLS} tools.")
    seen: set[str] = set()
    for number, tool in enumerate(tools):
        texts = [*_of_function(tool.function)]
        if tool.function.name in seen:
            texts.append(f"There are two tools `{tool.function.name}`.")
        if tool.anthropic is not UNSET:
            texts.append("A tool has no fields for one vendor alone.")
        seen.add(tool.function.name)
        for text in texts:
            yield Problem(f"tools[{number}]", None, text)


def _of_function(function: FunctionDefinition) -> Iterator[str]:
    name, parameters = function.name, function.parameters
    if not TOOL_NAME.fullmatch(name):
        yield f"`{name}` names no tool: use up to 64 letters, digits, `_` and `-`."
    if parameters is None:
        return
    if parameters.get("type") != "object":
        yield f"The parameters of `{name}` are a JSON schema of type `object`."
    yield from (f"`{name}`: {text}" for text in _of_schema(parameters))


def _of_output_schema(wanted: OutputSchema) -> Iterator[Problem]:
    texts: Iterable[str] = _of_schema(wanted.schema)
    if not TOOL_NAME.fullmatch(wanted.name):
        named = f"“{wanted.name}” names no schema: use up to 64 letters, digits, `_` and `-`."
        texts = [named, *texts]
    for text in texts:
        yield Problem("output_schema", None, text)


def _of_schema(schema: dict[str, Any]) -> Iterator[str]:
    try:
        json_schema.validator(schema)
    except InvalidRequest as error:
        yield f"{error.message.rstrip('.')}."
