"""How the demo's models fail, each as its name says, for tests and drills."""

import asyncio
from collections.abc import Callable, Mapping

from llm.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContentFiltered,
    ContextTooLong,
    MalformedAnswer,
    Overloaded,
    ProviderError,
    RateLimited,
    ServerError,
    TimedOut,
)
from llm.providers.base import Timeouts

# What is said of each where models are listed.
FAULTS: Mapping[str, str] = {
    "fault-401": "refuses its key",
    "fault-429": "limits the rate of calls, and asks to wait a second",
    "fault-500": "fails",
    "fault-529": "is overloaded",
    "fault-context": "finds every request too long",
    "fault-filter": "has a filter that refuses every request",
    "fault-garbage": "answers with what cannot be read",
    "fault-stall": "never says a word",
    "fault-stall-20": "says 20 tokens, and then nothing more",
    "fault-cut-20": "hangs up after 20 tokens",
    "fault-slow-first-token": "takes three seconds to begin",
    "fault-empty": "answers nothing",
    "fault-usage-missing": "does not tell what it has used",
    "fault-bad-tool-call": "calls a tool with arguments that are not JSON",
}
SLOW_SECONDS = 3.0

REFUSALS: Mapping[str, Callable[[], ProviderError]] = {
    "fault-401": lambda: AuthenticationFailed(_as_named("refused its key")),
    "fault-429": lambda: RateLimited(_as_named("is rate limited"), retry_after=1),
    "fault-500": lambda: ServerError(_as_named("failed")),
    "fault-529": lambda: Overloaded(_as_named("is overloaded")),
    "fault-context": lambda: ContextTooLong(_as_named("finds the request too long")),
    "fault-filter": lambda: ContentFiltered(_as_named("refused the request by its filter")),
    "fault-garbage": lambda: MalformedAnswer(_as_named("sent what cannot be read")),
}


async def before_answer(model: str, timeouts: Timeouts) -> None:
    """Fail, or take the time, that the model is named after."""
    if refusal := REFUSALS.get(model):
        raise refusal()
    if model == "fault-slow-first-token":
        await asyncio.sleep(SLOW_SECONDS)
    if model == "fault-stall":
        await _stall(timeouts.first_token)


async def after_piece(model: str, number: int, timeouts: Timeouts) -> None:
    """Break off after so many pieces, if the model is named after that."""
    if number != 20:
        return
    if model == "fault-cut-20":
        raise ConnectionFailed(_as_named("hung up after 20 tokens"))
    if model == "fault-stall-20":
        await _stall(timeouts.idle)


async def _stall(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise TimedOut("The demo model did not answer in time, as its name asks.")


def _as_named(what: str) -> str:
    return f"The demo model {what}, as its name asks."
