"""What staff want found in texts on their way to a model and back: `docs/guardrails.md`."""

from llm.guardrails import decisions, moderation, requests, rules
from llm.guardrails.answers import watch
from llm.guardrails.blocked import Blocked
from llm.guardrails.scan import Unavailable
from llm.types import Call, ChatRequest

__all__ = ["Blocked", "Unavailable", "check_request", "close", "watch"]


async def check_request(request: ChatRequest, call: Call) -> ChatRequest:
    """Return the request as it may be sent: as it is, or with placeholders.

    Raises `Blocked` where a rule refuses it, `Unavailable` where such a rule could not be applied.
    """
    incoming = (await rules.applying(call)).incoming
    return await requests.checked(request, call, incoming) if incoming else request


async def close() -> None:
    """Return when every verdict is in and every decision has been written."""
    await moderation.close()
    await decisions.close()
