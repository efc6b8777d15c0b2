"""A call that may use the cache, as its stages hand it on."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from llm.caching.policy import Policy
from llm.routing.routes import Route
from llm.types import Call, ChatRequest, Event

Answer = Callable[[], AsyncGenerator[Event, None]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is asked, what the caller may do with the cache, and where the answer is kept."""

    request: ChatRequest
    call: Call
    route: Route
    policy: Policy
    purge: int  # the newest that fits
    key: str  # of the answer
