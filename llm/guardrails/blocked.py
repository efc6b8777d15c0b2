"""The refusal, in words that quote nothing."""

from core.errors import AppError
from llm.models.guardrails import CheckName

NAMES = {
    "email": "an e-mail address",
    "phone": "a phone number",
    "card": "a payment card number",
    "iban": "a bank account number (IBAN)",
    "ssn": "a social security number",
    "private_key": "a private key",
}
FAMILIES = {
    CheckName.PII: "personal data",
    CheckName.SECRETS: "a key or a token",
    CheckName.INJECTION: "text that reads like instructions to the model",
    CheckName.MODERATION: "content that moderation has flagged",
    CheckName.WORDS: "words that are not allowed here",
}


class Blocked(AppError):
    """A rule refuses the request, or breaks off the answer."""

    code = "guardrail_blocked"
    http_status = 400


def request_blocked(check_name: str, kind: str) -> Blocked:
    """Return the refusal of a request."""
    found = name_of(check_name, kind)
    return Blocked(f"The request was not sent: a guardrail found {found} in it.", param="messages")


def answer_blocked(check_name: str, kind: str) -> Blocked:
    """Return what ends an answer."""
    found = name_of(check_name, kind)
    return Blocked(f"The answer was broken off: a guardrail found {found} in it.")


def name_of(check_name: str, kind: str) -> str:
    """Return what was found, in plain words."""
    return NAMES.get(kind) or FAMILIES[CheckName(check_name)]
