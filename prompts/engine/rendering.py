"""From the content of a version to messages for a model."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.template import TemplateSyntaxError

from llm.types import Message
from prompts.content import MessageTemplate, PromptContent, Role, Variable
from prompts.engine import checking, locales, variables
from prompts.engine.filling import Filling
from prompts.engine.templates import PromptTemplate, nobodys_language
from prompts.engine.vocabulary import Include
from prompts.errors import Problem, PromptContentInvalid, PromptRenderFailed


@dataclass(frozen=True, slots=True)
class CompiledMessage:
    """One message, ready to be filled in."""

    place: str  # as in `Problem`
    role: Role
    template: PromptTemplate


@dataclass(frozen=True, slots=True)
class PlacedInclude:
    """Where another prompt is included."""

    place: str
    tag: Include


Compiled = tuple[CompiledMessage, ...]
Parts = Mapping[str, "CompiledPrompt"]


@dataclass(frozen=True, slots=True)
class CompiledPrompt:
    """Content that has been checked, ready to be filled in."""

    content: PromptContent
    variants: Mapping[str, Compiled]  # by language
    variables: tuple[Variable, ...]  # of the whole: those of what it includes, too
    includes: tuple[PlacedInclude, ...] = ()
    parts: Parts = field(
        default_factory=dict
    )  # all that is included, also by way of others, by name

    @property
    def included(self) -> set[str]:
        """Return the names of the prompts that it includes itself."""
        return {include.tag.name for include in self.includes}

    def locale(self, *asked: str) -> str:
        """Return the language it speaks: the nearest to one asked for, the earlier the better."""
        if self.content.locales:
            for tag in asked:
                if found := locales.chosen(tag, self.variants):
                    return found
        return self.content.default_locale

    def render(self, values: Mapping[str, Any], locale: str = "") -> tuple[Message, ...]:
        """Return the messages for `values`; one that turns out blank is left out."""
        given, spoken = variables.complete(self.variables, values), self.locale(locale)
        filling = Filling(self.parts, (locale, spoken))
        with nobodys_language():
            messages = [
                Message(role=message.role, content=message.template.text(given, filling))
                for message in self.variants[spoken]
            ]
        filling.finish()
        return tuple(message for message in messages if str(message.content).strip())

    def text(self, shared: Mapping[str, Any], given: Set[str], filling: Filling) -> str:
        """Return all messages as one text, for a prompt that includes this one.

        What is `given` to it was made by that prompt, so it is checked here.
        """
        values = self._inside(shared, given)
        messages = self.variants[self.locale(*filling.locales)]
        texts = [message.template.text(values, filling) for message in messages]
        return "\n\n".join(text for text in texts if text.strip())

    def _inside(self, shared: Mapping[str, Any], given: Set[str]) -> dict[str, Any]:
        inside = dict(shared)
        for variable in self.content.variables:
            name = variable.name
            if name not in inside:
                if variable.required:
                    raise PromptRenderFailed(f"An included prompt lacks its variable “{name}”.")
                inside[name] = variable.default
            elif name in given and (reason := variables.misfit(variable, inside[name])):
                raise PromptRenderFailed(f"In an included prompt, “{name}” {reason[1]}.")
        return inside


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
    includes = tuple(
        PlacedInclude(message.place, tag)
        for messages in variants.values()
        for message in messages
        for tag in message.template.includes
    )
    return CompiledPrompt(content, variants, content.variables, includes)


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
