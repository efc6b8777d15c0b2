"""Whether a call is within the limits of its caller, and what it takes of them."""

import math
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from msgspec.structs import replace

from core import redis
from core.errors import AppError
from llm.limits import counters, estimates, leases, refusals, words
from llm.limits.counters import Taken
from llm.limits.refusals import Refused
from llm.limits.rules import Rule, in_force
from llm.limits.windows import LONGEST_WINDOW, Figure, Kind, Want, remaining, reset, wait
from llm.types import Call, ChatRequest, Finished, RateLimit, Started


class LimitExceeded(AppError):
    """The caller has asked for as much as a limit allows."""

    code = "rate_limit_exceeded"
    http_status = 429

    def __init__(self, want: Want, retry_after: float | None, rate_limit: RateLimit) -> None:
        super().__init__(
            words.refusal(want, retry_after),
            retry_after=retry_after,
            details={"limit": want.rule.name, "figure": want.figure},
        )
        self.rate_limit = rate_limit


class Admission:
    """Leave to make a call, of a caller whom no limit concerns."""

    rate_limit: RateLimit | None = None

    def mark(self, started: Started) -> Started:
        """Remember that there is an answer, and return its beginning with what is left."""
        return started

    async def release(self, finished: Finished | None) -> None:
        """End the call, however it ended, without waiting for anything; the second time, nothing.

        Tokens are corrected to what the call has used: none where no model was asked or where the
        answer was kept. Where an answer broke off, the estimate stays.
        """


UNLIMITED = Admission()


class Standing(NamedTuple):
    """How a caller stands with a limit; the least is the tightest."""

    remaining: int
    limit: int
    reset: float


class LimitedAdmission(Admission):
    """Leave that was taken of counters."""

    def __init__(self, taken: Taken) -> None:
        self.rate_limit = _rate_limit(taken)
        self._taken = taken
        self._started: Started | None = None
        self._is_released = False

    def mark(self, started: Started) -> Started:
        self._started = started
        return replace(started, rate_limit=self.rate_limit)

    async def release(self, finished: Finished | None) -> None:
        if not self._is_released:
            self._is_released = True
            counters.release(self._taken, self._tokens(finished))

    def _tokens(self, finished: Finished | None) -> int | None:
        """Return what was used; `None` where nobody knows."""
        if self._started is None or self._started.is_cache_hit:
            return 0
        if finished is None:
            return None
        return finished.usage.total_input + finished.usage.total_output


async def admit(request: ChatRequest, call: Call) -> Admission:
    """Count the call against every limit of its caller, or raise `LimitExceeded` and count nothing.

    Asks nobody where no limit concerns the caller. The admission is to be released when the call
    has ended.
    """
    rules = await in_force()
    if not rules.by_scope:
        return UNLIMITED
    wants = [
        want for rule, caller in rules.applying_to(call) for want in _wants(rule, caller, request)
    ]
    if not wants:
        return UNLIMITED
    taken = await counters.take(wants)
    if taken.is_refused:
        _refuse(taken, call)
    return LimitedAdmission(taken)


async def count(call: Call) -> RateLimit | None:
    """Count a request that asks no model, as `admit` does; return what is left.

    It takes nothing of tokens or calls at once, so that nothing is to be released.
    """
    rules = await in_force()
    wants = [
        _of_requests(rule, rule.requests, caller)
        for rule, caller in rules.applying_to(call)
        if rule.requests
    ]
    if not wants:
        return None
    taken = await counters.take(wants)
    if taken.is_refused:
        _refuse(taken, call)
    return _rate_limit(taken)


def _wants(rule: Rule, caller: int | str, request: ChatRequest) -> Iterator[Want]:
    """Yield what a call takes of a rule's counters.

    They go on where a limit is raised or lowered, but not where its time is another.
    """
    if rule.requests:
        yield _of_requests(rule, rule.requests, caller)
    if rule.tokens:
        key, amount = _key(rule, "tokens", caller), estimates.tokens(request)
        yield Want(rule, "tokens", "counter", key, rule.tokens, rule.seconds, amount)
    if rule.parallel:
        key = _key(rule, "parallel", caller)
        yield Want(rule, "parallel", "lease", key, rule.parallel, leases.seconds())


def _of_requests(rule: Rule, requests: int, caller: int | str) -> Want:
    kind: Kind = "window" if requests <= LONGEST_WINDOW else "counter"
    key = _key(rule, f"requests-{kind}", caller)
    return Want(rule, "requests", kind, key, requests, rule.seconds)


def _key(rule: Rule, what: str, caller: int | str) -> str:
    return redis.key("limits", f"{{{rule.id}:{rule.seconds}:{what}:{caller}}}")


def _refuse(taken: Taken, call: Call) -> NoReturn:
    """Raise for the limit that the caller has to wait for longest."""
    refused = [
        (wait(want, seen), want)
        for want, seen in zip(taken.wants, taken.seen, strict=True)
        if not seen.is_taken
    ]
    seconds, want = max(refused, key=lambda each: math.inf if each[0] is None else each[0])
    principal = call.principal
    refusals.note(
        Refused(
            limit_name=want.rule.name,
            figure=want.figure,
            organization_id=principal.organization_id,
            user_name=principal.user_name,
            api_key_prefix=principal.api_key_prefix,
            ip=call.ip,
            surface=call.surface,
        )
    )
    raise LimitExceeded(want, seconds, _rate_limit(taken))


def _rate_limit(taken: Taken) -> RateLimit:
    requests, tokens = _tightest(taken, "requests"), _tightest(taken, "tokens")
    return RateLimit(
        limit_requests=requests and requests.limit,
        remaining_requests=requests and requests.remaining,
        reset_requests=requests and requests.reset,
        limit_tokens=tokens and tokens.limit,
        remaining_tokens=tokens and tokens.remaining,
        reset_tokens=tokens and tokens.reset,
    )


def _tightest(taken: Taken, figure: Figure) -> Standing | None:
    """Return the limit that leaves least."""
    standings = [
        Standing(remaining(want, seen), want.limit, reset(want, seen))
        for want, seen in zip(taken.wants, taken.seen, strict=True)
        if want.figure == figure
    ]
    return min(standings, default=None)
