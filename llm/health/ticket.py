"""Leave to call a deployment, and what is learnt of it from the call."""

from typing import TYPE_CHECKING

from llm.errors import ProviderError, RateLimited, TimedOut
from llm.health import breaker
from llm.health.figures import bucket_of
from llm.health.shared import Kind
from llm.health.watch import Watch

if TYPE_CHECKING:
    from llm.health.monitor import Monitor

LONGEST_REST = 60.0  # seconds for which a vendor that limits the rate is passed over


class Ticket:
    """Leave to call a deployment once. It is told when the model speaks, and how the call ended."""

    __slots__ = ("_epoch", "_has_spoken", "_is_probe", "_kind", "_monitor", "_watch")

    def __init__(self, monitor: "Monitor", watch: Watch, *, kind: Kind, is_probe: bool) -> None:
        self._monitor = monitor
        self._watch = watch
        self._kind = kind
        self._is_probe = is_probe
        self._epoch = watch.epoch
        self._has_spoken = False
        watch.running += 1

    def spoke(self, milliseconds: int) -> None:
        """Note that content has come: that is what makes a deployment healthy."""
        self._has_spoken = True
        watch = self._watch
        self._monitor.first[watch.deployment_id, self._kind, bucket_of(milliseconds)] += 1
        if self._is_probe and watch.is_probed:
            watch.is_probed = False
            if watch.record is not None:
                watch.move(None)
            self._epoch = watch.epoch
        if self._epoch == watch.epoch:
            watch.succeeded(self._monitor.clock())

    def ended(self, error: BaseException | None) -> None:
        """Note how the call ended; errors of the caller's making speak against nobody."""
        watch, now = self._watch, self._monitor.clock()
        watch.running -= 1
        if isinstance(error, RateLimited) and error.retry_after:
            watch.rest(now + min(error.retry_after, LONGEST_REST))
        is_outage = isinstance(error, ProviderError) and error.is_outage
        if self._is_probe and watch.is_probed:
            self._end_probe(is_outage, isinstance(error, ProviderError), now)
        elif is_outage and self._epoch == watch.epoch and not self._may_be_long(error):
            watch.failed(now, is_counted=self._has_spoken)
        self._monitor.soon()

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
