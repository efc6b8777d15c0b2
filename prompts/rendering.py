"""From the content of a version to messages for a model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.template import TemplateSyntaxError

from llm.types import Message
from prompts import checking, locales, variables
from prompts.content import MessageTemplate, PromptContent, Role, Variable
from prompts.errors import Problem, PromptContentInvalid
from prompts.templates import PromptTemplate


@dataclass(frozen=True, slots=True)
class CompiledMessage:
    """One message, ready to be filled in."""

    place: str  # as in `Problem`
    role: Role
    template: PromptTemplate


Compiled = tuple[CompiledMessage, ...]


@dataclass(frozen=True, slots=True)
class CompiledPrompt:
    """Content that has been checked, ready to be filled in."""

    content: PromptContent
    variants: Mapping[str, Compiled]  # by language

    def locale(self, asked: str) -> str:
        """Return the language it speaks to somebody who asks for one: the nearest it has."""
        return locales.chosen(asked, self.variants) or self.content.default_locale

    def render(self, values: Mapping[str, Any], locale: str = "") -> tuple[Message, ...]:
        """Return the messages for `values`; one that turns out blank is left out."""
        complete = variables.complete(self.content.variables, values)
        messages = (
            Message(role=message.role, content=message.template.text(complete))
            for message in self.variants[self.locale(locale)]
        )
        return tuple(message for message in messages if str(message.content).strip())


def compile_content(content: PromptContent) -> CompiledPrompt:
    """Return the content compiled, or raise `PromptContentInvalid` naming all that is wrong."""
    problems = [*checking.problems_of(content)]
    declared = {variable.name for variable in content.variables}
    variants: dict[str, Compiled] = {}
    for locale, place, messages in _variants(content):
        found = [*_compiled(place, messages, problems)]
        problems += [problem for message in found for problem in _undeclared(message, declared)]
        variants[locale] = tuple(found)
    if problems:
        raise PromptContentInvalid(problems=problems)
    return CompiledPrompt(content, variants)


def declare_missing(content: PromptContent) -> PromptContent:
    """Return the content with what its templates use, and nobody declared, as required text."""
    problems: list[Problem] = []
    used = {
        name: None
        for _, place, messages in _variants(content)
        for message in _compiled(place, messages, problems)
        for name in message.template.names
    }
    if problems:
        raise PromptContentInvalid(problems=problems)
    declared = {variable.name for variable in content.variables}
    missing = tuple(Variable(name=name) for name in used if name not in declared)
    return msgspec.structs.replace(content, variables=(*content.variables, *missing))


def _variants(content: PromptContent) -> Iterator[tuple[str, str, tuple[MessageTemplate, ...]]]:
    """Yield each language with the place of its messages, and these."""
    yield content.default_locale, "messages", content.messages
    for locale, messages in content.locales.items():
        if locale != content.default_locale:
            yield locale, f"locales.{locale}", messages


def _compiled(
    place: str, messages: tuple[MessageTemplate, ...], problems: list[Problem]
) -> Iterator[CompiledMessage]:
    """Yield the messages compiled; where one cannot be, add why to `problems`."""
    for number, message in enumerate(messages):
        here = f"{place}[{number}]"
        try:
            yield CompiledMessage(here, message.role, PromptTemplate(message.template))
        except TemplateSyntaxError as error:
            line = error.token.lineno  # type: ignore[attr-defined]  # the parser puts it there
            reason = str(error).rstrip(".")
            problems.append(Problem(here, line, f"{reason}."))


def _undeclared(message: CompiledMessage, declared: set[str]) -> Iterator[Problem]:
    for name, line in message.template.names.items():
        if name not in declared:
            yield Problem(message.place, line, f"the variable “{name}” is not declared.")
