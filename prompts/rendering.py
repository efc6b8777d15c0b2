"""From the content of a version to messages for a model."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.template import TemplateSyntaxError

from llm.types import Message
from prompts import variables
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.errors import PromptContentInvalid
from prompts.templates import PromptTemplate

MAX_MESSAGES = 50
MAX_TEMPLATE = 200_000  # characters
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
RESERVED = {"True", "False", "None", "forloop"}


@dataclass(frozen=True, slots=True)
class CompiledPrompt:
    """Content that has been checked, ready to be filled in."""

    content: PromptContent
    templates: tuple[PromptTemplate, ...]

    def render(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the messages for `values`; one that turns out blank is left out."""
        complete = variables.complete(self.content.variables, values)
        messages = (
            Message(role=message.role, content=template.text(complete))
            for message, template in zip(self.content.messages, self.templates, strict=True)
        )
        return tuple(message for message in messages if str(message.content).strip())


def compile_content(content: PromptContent) -> CompiledPrompt:
    """Return the content compiled, or raise `PromptContentInvalid` naming all that is wrong."""
    problems = [*_wrong_messages(content), *_wrong_variables(content.variables)]
    problems += _wrong_settings(content.settings)
    templates: list[PromptTemplate] = []
    declared = {variable.name for variable in content.variables}
    for number, message in enumerate(content.messages, start=1):
        try:
            template = compile_message(number, message)
        except PromptContentInvalid as error:
            problems.append(error.message)
            continue
        templates.append(template)
        problems += [
            f"Message {number}, line {line}: the variable “{name}” is not declared."
            for name, line in template.names.items()
            if name not in declared
        ]
    if problems:
        raise PromptContentInvalid(" ".join(problems))
    return CompiledPrompt(content, tuple(templates))


def declare_missing(content: PromptContent) -> PromptContent:
    """Return the content with what its templates use, and nobody declared, as required text."""
    used: dict[str, int] = {}
    for number, message in enumerate(content.messages, start=1):
        used |= compile_message(number, message).names
    declared = {variable.name for variable in content.variables}
    missing = tuple(Variable(name=name) for name in used if name not in declared)
    return msgspec.structs.replace(content, variables=(*content.variables, *missing))


def compile_message(number: int, message: MessageTemplate) -> PromptTemplate:
    """Return one message compiled; an error names the message and the line."""
    try:
        return PromptTemplate(message.template)
    except TemplateSyntaxError as error:
        line = error.token.lineno  # type: ignore[attr-defined]  # the parser puts it there
        reason = str(error).rstrip(".")
        raise PromptContentInvalid(f"Message {number}, line {line}: {reason}.") from error


def _wrong_messages(content: PromptContent) -> Iterator[str]:
    if not any(message.template.strip() for message in content.messages):
        yield "The prompt says nothing: write at least one message."
    if len(content.messages) > MAX_MESSAGES:
        yield f"A prompt has at most {MAX_MESSAGES} messages."
    for number, message in enumerate(content.messages, start=1):
        if len(message.template) > MAX_TEMPLATE:
            yield f"Message {number} is longer than {MAX_TEMPLATE:,} characters."


def _wrong_variables(declared: tuple[Variable, ...]) -> Iterator[str]:
    names = [variable.name for variable in declared]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"The variable “{name}” is declared twice."
    for variable in declared:
        name, default = variable.name, variable.default
        if not NAME.fullmatch(name) or name in RESERVED:
            yield f"“{name}” is not a name: use letters, digits and underscores, a letter first."
        if default is not None and variable.required:
            yield f"The variable “{name}” is required, so it cannot have a default."
        elif default is not None and not variables.fits(default, variable.type):
            yield f"The default of “{name}” must be {variables.DESCRIPTIONS[variable.type]}."


def _wrong_settings(settings: ModelSettings) -> Iterator[str]:
    temperature, max_tokens = settings.temperature, settings.max_tokens
    if temperature is not None and not (math.isfinite(temperature) and 0 <= temperature <= 2):
        yield "The temperature must be between 0 and 2."
    if max_tokens is not None and max_tokens < 1:
        yield "The largest number of output tokens must be at least 1."
