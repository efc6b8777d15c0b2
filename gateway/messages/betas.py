"""Which of Anthropic's betas are asked for on behalf of a caller: those without a price."""

from core.errors import InvalidRequest
from gateway.errors import UnsupportedParameter
from gateway.messages.wire import Asked

CONTEXT_MANAGEMENT = "context-management-2025-06-27"
# What they change is the manner of an answer: not its price, and not what it is made of.
PASSED_ON = (
    CONTEXT_MANAGEMENT,
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
)
CLEARING = "clear_"  # the edits that leave out what is old; others write content of their own


def wanted(header: str, asked: Asked) -> list[str]:
    """Return the betas to be named to Anthropic; raise by the field for what they do not hold."""
    named = {name.strip() for name in header.split(",")}
    if asked.context_management is not None:
        _check(asked.context_management.get("edits", ()))
        named.add(CONTEXT_MANAGEMENT)
    return [name for name in PASSED_ON if name in named]


def _check(edits: object) -> None:
    param = "context_management.edits"
    if not isinstance(edits, list | tuple):
        raise InvalidRequest(f"`{param}` is wrong: Expected `array`.", param=param)
    for number, edit in enumerate(edits):
        kind = edit.get("type") if isinstance(edit, dict) else None
        if not isinstance(kind, str) or not kind.startswith(CLEARING):
            at = f"{param}[{number}].type"
            raise UnsupportedParameter(
                f"`{at}` is not supported. Parley passes on edits that clear: `clear_…`.", param=at
            )
