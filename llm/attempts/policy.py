"""How patient a call is: tenacity's strategies for when to try again, and when to stop trying."""

from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, stop_any, stop_before_delay
from tenacity.stop import stop_base
from tenacity.wait import wait_base, wait_random_exponential

from llm.errors import ProviderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers, in seconds where nothing else is said."""

    retries: int = 2  # per deployment
    base_delay: float = 0.25  # doubled with each retry, then drawn between 0 and that
    longest_wait: float = 10.0  # whoever asks for more is passed over
    first_content: float = 120.0  # for all attempts together
    whole_answer: float = 600.0  # where the answer comes in one piece


class wait_as_told(wait_base):
    """Back off with full jitter, but no less than the vendor asks for."""

    def __init__(self, backoff: wait_base) -> None:
        self._backoff = backoff

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        floor = error.retry_after if isinstance(error, ProviderError) else None
        return max(self._backoff(retry_state), floor or 0.0)


class stop_before_wait(stop_base):
    """Stop rather than wait longer than `longest`."""

    def __init__(self, longest: float) -> None:
        self._longest = longest

    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.upcoming_sleep > self._longest


class Patience:
    """What is left of it for one request. tenacity only says how long; the loop is ours."""

    def __init__(self, policy: Policy, *, started_at: float, seconds: float) -> None:
        self._wait = wait_as_told(
            wait_random_exponential(multiplier=policy.base_delay, max=policy.longest_wait)
        )
        self._stop = stop_any(
            stop_after_attempt(policy.retries + 1),
            stop_before_wait(policy.longest_wait),
            stop_before_delay(seconds),
        )
        self._state = RetryCallState(AsyncRetrying(), None, (), {})
        self._state.start_time = started_at

    def begin(self) -> None:
        """Grant a new deployment its own retries; the time is everybody's."""
        self._state.attempt_number = 1

    def after(self, error: ProviderError) -> float | None:
        """Return the seconds until the same deployment may be asked again; `None`: do not."""
        state = self._state
        state.set_exception((type(error), error, error.__traceback__))
        state.upcoming_sleep = self._wait(state)
        if self._stop(state):
            return None
        state.prepare_for_next_attempt()
        return state.upcoming_sleep
