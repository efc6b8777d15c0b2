"""What a version says: its messages, the variables they take, and settings for the model."""

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import Struct

Role = Literal["system", "developer", "user", "assistant"]
VariableType = Literal["text", "number", "boolean", "list", "json"]


class MessageTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    template: str


class Variable(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that the caller hands in; an optional one that is left out has its default."""

    name: str
    type: VariableType = "text"
    required: bool = True
    default: Any = None


class ModelSettings(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the model is asked for with these words; `None` leaves it to the caller."""

    temperature: float | None = None
    max_tokens: int | None = None


class PromptContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that makes one version different from another."""

    messages: tuple[MessageTemplate, ...]
    variables: tuple[Variable, ...] = ()
    settings: ModelSettings = ModelSettings()

    def stored(self) -> dict[str, Any]:
        """Return the JSON of each part, as `PromptVersion` keeps it."""
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored

    def digest(self) -> str:
        """Return a hash that is equal for equal content."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()
