"""When an answer may be given again, and for how long: `docs/caching.md` in code."""

from dataclasses import dataclass

from django.conf import settings

from core.errors import AppError
from llm.routing.routes import Route
from llm.types import Call, ChatRequest, Finished, PromptCache

READING = ("on", "read")
WRITING = ("on", "write")
NO_PROMPT = PromptCache()


class NotCached(AppError):
    """The caller wanted a kept answer or none, and there is none."""

    code = "not_cached"
    http_status = 504  # RFC 9111 says so for `only-if-cached`


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one call may do with the cache."""

    reads: bool = False
    writes: bool = False
    seconds: int = 0  # how long its answer is kept
    max_age: int | None = None  # seconds; an older answer will not do
    is_told: bool = False  # staff have said that answers like this may be given again

    @property
    def is_off(self) -> bool:
        return not (self.reads or self.writes)

    @property
    def shares(self) -> bool:
        """Whether it may wait for the answer to the same call of somebody else."""
        return self.reads and self.writes and self.max_age is None

    def keeps(self, finished: Finished) -> bool:
        """Return whether an answer that ended so is kept; a filtered one never is.

        One that was cut or that calls tools is kept only where staff have said so.
        """
        if finished.finish_reason == "content_filter":
            return False
        return self.is_told or finished.finish_reason == "stop"


OFF = Policy()


def decide(request: ChatRequest, call: Call, route: Route) -> Policy:
    """Return what the call may do: the narrowest of what prompt, key and caller say.

    Without a word of staff, only what is asked at temperature 0 and without tools is repeatable.
    """
    prompt = call.prompt.cache if call.prompt else NO_PROMPT
    is_told = route.is_cached or prompt.mode is not None or prompt.semantic_threshold is not None
    is_repeatable = is_told or (request.temperature == 0 and not request.tools)
    if not (is_repeatable and settings.CACHE_SECONDS):
        return OFF
    wish = call.cache
    modes = (prompt.mode or "on", call.principal.cache_mode, wish.mode)
    seconds = _seconds(prompt.seconds, wish.seconds)
    return Policy(
        reads=all(mode in READING for mode in modes),
        writes=all(mode in WRITING for mode in modes) and seconds > 0,
        seconds=seconds,
        max_age=wish.max_age,
        is_told=is_told,
    )


def _seconds(of_prompt: int | None, of_caller: int | None) -> int:
    allowed = settings.CACHE_SECONDS if of_prompt is None else of_prompt
    return allowed if of_caller is None else min(allowed, of_caller)
