"""What a case says: values for a prompt's variables, what is said after it, and checks."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from llm.types import Message
from prompts.content import LONGEST_LOCALE
from prompts.models import Case
from prompts.testing import checks
from prompts.testing.checks import AnyCheck

MOST_MESSAGES = 50
LONGEST_NAME = 200

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Locale = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]*\Z", max_length=LONGEST_LOCALE)]


class SaidMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said after the prompt's own words."""

    role: Literal["user", "assistant"]
    content: str

    def as_message(self) -> Message:
        return Message(self.role, self.content)


class CaseContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case, as it is written, imported and asked."""

    name: Name
    variables: dict[str, Any] = {}
    locale: Locale = ""
    messages: Annotated[tuple[SaidMessage, ...], Meta(max_length=MOST_MESSAGES)] = ()
    checks: tuple[AnyCheck, ...] = ()

    def stored(self) -> dict[str, Any]:
        """Return the JSON of each part, as `Case` keeps it."""
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored


def read_case(stored: Any) -> CaseContent:
    """Return what a case says; raise `InvalidRequest` naming what is wrong."""
    try:
        content = msgspec.convert(stored, CaseContent)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The case is wrong: {error}.") from None
    checks.refuse_wrong(content.checks)
    if not content.name.isprintable():
        raise InvalidRequest("The name of a case is one line of text.", param="name")
    if any("\0" in text for text in _texts(msgspec.to_builtins(content))):
        raise InvalidRequest("A case has no zero characters.")
    return content


def content_of(case: Case) -> CaseContent:
    """Return what a kept case says."""
    return read_case(
        {
            "name": case.name,
            "variables": case.variables,
            "locale": case.locale,
            "messages": case.messages,
            "checks": case.checks,
        }
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return []
