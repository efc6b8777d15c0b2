"""What a version says: its messages, the variables they take, and settings for the model."""

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import Struct

from llm.types import Tool

Role = Literal["system", "developer", "user", "assistant"]
VariableType = Literal["text", "number", "boolean", "choice", "list", "json"]

DEFAULT_LOCALE = "en"
LONGEST_LOCALE = 20  # characters of a language tag like "pt-BR"


class MessageTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    template: str


class Variable(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that the caller hands in; an optional one that is left out has its default."""

    name: str
    type: VariableType = "text"
    required: bool = True
    default: Any = None
    options: tuple[str, ...] = ()  # of a choice
    may_be_empty: bool = True  # a text or list
    max_length: int | None = None  # characters of a text, items of a list


class ModelSettings(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the model is asked for with these words; `None` leaves it to the caller."""

    temperature: float | None = None
    max_tokens: int | None = None
    model: str | None = None  # the name to ask for where the caller names none
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: str | None = None


class OutputSchema(Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON that an answer must be, as a JSON schema."""

    name: str
    schema: dict[str, Any]
    strict: bool = True


class PromptContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that makes one version different from another."""

    messages: tuple[MessageTemplate, ...]
    variables: tuple[Variable, ...] = ()
    settings: ModelSettings = ModelSettings()
    tools: tuple[Tool, ...] = ()
    output_schema: OutputSchema | None = None
    locales: dict[str, tuple[MessageTemplate, ...]] = {}  # instead of `messages`, by language tag
    default_locale: str = DEFAULT_LOCALE  # the language of `messages`

    def stored(self) -> dict[str, Any]:
        """Return the JSON of each part, as `PromptVersion` keeps it."""
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored

    def digest(self) -> str:
        """Return a hash that is equal for equal content.

        A version keeps the one of the day it was saved, when content may have had fewer parts.
        """
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()
