"""Leave to call a deployment, and what is learnt of it from the call."""

from collections.abc import Callable

from llm.errors import ProviderError, RateLimited, TimedOut
from llm.health import breaker
from llm.health.figures import bucket_of
from llm.health.shared import Kind
from llm.health.watch import Watch

LONGEST_COOLDOWN = 60.0  # seconds for which a vendor that limits the rate is passed over


class Ticket:
    """Leave to call a deployment once. It is told when the model speaks, and how the call ended."""

    __slots__ = ("_clock", "_epoch", "_has_spoken", "_is_probe", "_kind", "_on_news", "_watch")

    def __init__(
        self, watch: Watch, kind: Kind, clock: Callable[[], float], on_news: Callable[[], None]
    ) -> None:
        self._watch = watch
        self._kind = kind
        self._clock = clock
        self._on_news = on_news
        self._is_probe = watch.is_probed
        self._epoch = watch.epoch
        self._has_spoken = False
        watch.running += 1

    def spoke(self, milliseconds: int) -> None:
        """Note that content has come: that is what makes a deployment healthy."""
        self._has_spoken = True
        watch = self._watch
        watch.first[self._kind, bucket_of(milliseconds)] += 1
        if self._is_probe and watch.is_probed:
            watch.is_probed = False
            if watch.record is not None:
                watch.move(None)
            self._epoch = watch.epoch
        if self._epoch == watch.epoch:
            watch.succeeded(self._clock())

    def ended(self, error: BaseException | None) -> None:
        """Note how the call ended; errors of the caller's making speak against nobody."""
        watch, now = self._watch, self._clock()
        watch.running -= 1
        if isinstance(error, RateLimited) and error.retry_after:
            watch.cool_down(now + min(error.retry_after, LONGEST_COOLDOWN))
        is_outage = isinstance(error, ProviderError) and error.is_outage
        if self._is_probe and watch.is_probed:
            self._end_probe(is_outage, isinstance(error, ProviderError), now)
        elif is_outage and self._epoch == watch.epoch and not self._may_be_long(error):
            watch.failed(now, is_counted=self._has_spoken)
        self._on_news()

    def _may_be_long(self, error: BaseException | None) -> bool:
        """Return whether time ran out on a whole answer: one caller's long ones harm nobody."""
        return self._kind == "w" and isinstance(error, TimedOut) and error.may_have_been_billed

    def _end_probe(self, is_outage: bool, has_answered: bool, now: float) -> None:
        watch = self._watch
        watch.is_probed = False
        if watch.record is None:  # somebody has reset it
            return
        if is_outage:
            watch.move(breaker.opened(watch.record, now))
        elif has_answered:
            watch.move(None)
        else:  # the caller has stopped it
            watch.move(breaker.given_back(watch.record, now))
