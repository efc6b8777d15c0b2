"""The parts of one of Langfuse's prompts: its text and its config, in Parley's words."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from llm.types import Tool
from prompts.content import MessageTemplate, ModelSettings, OutputSchema, PromptContent, Variable
from prompts.engine.checking import NAME, RESERVED, problems_of

Note = Callable[[str], None]

# A variable, or another prompt that Langfuse puts there.
TAG = re.compile(
    r"\{\{\s*(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\s*\}\}"
    r"|@@@langfusePrompt:name=(?P<prompt>[^|@]+)(?:\|(?P<by>version|label)=(?P<which>[^@|]+))?@@@"
)
# What begins a tag in Parley is text in Langfuse.
MARKS = {"{{": "openvariable", "{%": "openblock", "{#": "opencomment"}
MARK = re.compile(r"\{[{%#]")
LONGEST_NAME = 100

SETTINGS = {
    **{name: name for name in ModelSettings.__struct_fields__},
    **dict.fromkeys(
        ("maxTokens", "max_output_tokens", "max_completion_tokens", "maxOutputTokens"), "max_tokens"
    ),
    **{"topP": "top_p", "stop_sequences": "stop", "stopSequences": "stop"},
    **{"modelName": "model", "model_name": "model", "reasoningEffort": "reasoning_effort"},
}
TYPES = {field.name: field.type for field in msgspec.structs.fields(ModelSettings)}


def prompt_name(name: str) -> str:
    """Return the name that a prompt gets here, where folders are no part of it."""
    return re.sub(r"[^-a-zA-Z0-9_]+", "-", name).strip("-")[:LONGEST_NAME]


def template(text: str, note: Note) -> tuple[str, list[str]]:
    """Return Langfuse's text as a template, and the names of its variables."""
    pieces: list[str] = []
    names: list[str] = []
    done = 0
    for found in TAG.finditer(text):
        pieces.append(_literal(text[done : found.start()], note, is_before_tag=True))
        if found["variable"]:
            names.append(_variable_name(found["variable"], note))
            pieces.append(f"{{{{ {names[-1]} }}}}")
        else:
            pieces.append(_include(found, note))
        done = found.end()
    pieces.append(_literal(text[done:], note, is_before_tag=False))
    return "".join(pieces), names


def _literal(text: str, note: Note, *, is_before_tag: bool) -> str:
    """Return text as a template that says just that."""
    for found in re.finditer(r"\{\{[^{}\n]{1,60}\}\}", text):
        note(f"“{found[0]}” is no variable of Langfuse: it stays as text.")
    ending = ""
    if is_before_tag and re.search(r"(?<!\{)(?:\{\{)*\{\Z", text):
        text, ending = text[:-1], "{% templatetag openbrace %}"
    return MARK.sub(lambda mark: f"{{% templatetag {MARKS[mark[0]]} %}}", text) + ending


def _variable_name(name: str, note: Note) -> str:
    if NAME.fullmatch(name) and name not in RESERVED:
        return name
    renamed = f"v{name}"[:LONGEST_NAME]
    note(f"The variable “{name}” is called “{renamed}” here.")
    return renamed


def _include(found: re.Match[str], note: Note) -> str:
    name = prompt_name(found["prompt"])
    if found["by"] == "version":
        note(
            f"“{found['prompt']}” is included as its label has it, not as version {found['which']}."
        )
    return f'{{% include "{name}" %}}'


def with_config(content: PromptContent, config: Any, note: Note) -> PromptContent:
    """Return the content with what the config says of the call; note what it has more."""
    if not isinstance(config, dict):
        if config is not None:
            note("The config is no object, so nothing of it is taken over.")
        return content
    for name, value in config.items():
        try:
            changed = _with(content, name, value)
        except (msgspec.ValidationError, AttributeError, KeyError, TypeError):
            changed = None
        if changed is None or any(_new_problems(content, changed)):
            note(f"`{name}` of the config cannot be taken over.")
        else:
            content = changed
    return content


def _new_problems(before: PromptContent, after: PromptContent) -> Iterator[str]:
    known = {problem.text for problem in problems_of(before)}
    return (problem.text for problem in problems_of(after) if problem.text not in known)


def _with(content: PromptContent, name: str, value: Any) -> PromptContent | None:
    """Return the content with one thing that the config says; `None` where Parley has no such."""
    replace = msgspec.structs.replace
    if name in SETTINGS:
        field = SETTINGS[name]
        value = [value] if field == "stop" and isinstance(value, str) else value
        typed = msgspec.convert(value, TYPES[field])
        return replace(content, settings=replace(content.settings, **{field: typed}))
    if name == "tools":
        return replace(content, tools=msgspec.convert(value, tuple[Tool, ...]))
    if name == "response_format" and value["type"] == "json_schema":
        wanted = {
            one: value["json_schema"][one]
            for one in OutputSchema.__struct_fields__
            if value["json_schema"].get(one) is not None
        }
        return replace(content, output_schema=msgspec.convert(wanted, OutputSchema))
    return None


def declared(messages: tuple[MessageTemplate, ...], names: list[str]) -> PromptContent:
    """Return content whose variables are texts that each call has to give, as in Langfuse."""
    variables = tuple(Variable(name=name) for name in dict.fromkeys(names))
    return PromptContent(messages=messages, variables=variables)
