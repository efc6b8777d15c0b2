"""What a rule is told beside its action: the JSON of `GuardrailRule.settings`, with its types."""

from typing import Any

import msgspec
from msgspec import Struct

from llm.guardrails import injection, pii, secrets, words
from llm.guardrails.findings import Check
from llm.models.guardrails import CheckName

KINDS: dict[str, tuple[str, ...]] = {
    CheckName.PII: pii.KINDS,
    CheckName.SECRETS: secrets.KINDS,
    CheckName.INJECTION: injection.KINDS,
    CheckName.WORDS: words.KINDS,
    CheckName.MODERATION: (),
}


class RuleSettings(Struct, frozen=True, omit_defaults=True):
    """Each check looks at its own part of it."""

    kinds: tuple[str, ...] = ()  # of personal data or of secrets; empty: all
    region: str = "US"  # where phone numbers without a country's code are from
    threshold: float | None = None  # of the score; None: the check's own
    with_users: bool = False  # whether injection is looked for in what people write, too
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    model: str = ""  # for moderation; empty: the one that is used anyway


def read(stored: dict[str, Any]) -> RuleSettings:
    """Return the settings; what another version of Parley wrote and this one lacks is left out."""
    return msgspec.convert(stored, RuleSettings)


def write(settings: RuleSettings) -> dict[str, Any]:
    """Return the settings as they are stored."""
    return msgspec.to_builtins(settings)  # type: ignore[no-any-return]


def check_for(check_name: str, settings: RuleSettings) -> Check | None:
    """Return what looks for it; `None` for moderation, which asks a model."""
    match check_name:
        case CheckName.PII:
            return pii.PersonalData(settings.kinds, settings.region)
        case CheckName.SECRETS:
            return secrets.Secrets(settings.kinds)
        case CheckName.INJECTION:
            return injection.Injection()
        case CheckName.WORDS:
            return words.Words(settings.words, settings.patterns)
        case _:
            return None
