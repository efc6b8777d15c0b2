"""What one process knows of one deployment, and how it judges it between two looks at Redis."""

from collections import Counter

import structlog

from llm.health import breaker
from llm.health.breaker import BUCKET, FAILURES_IN_A_ROW, LEASE, WINDOW, Record, Window
from llm.health.figures import State
from llm.health.shared import Change, Report, Shared, Times

logger = structlog.get_logger(__name__)


class Watch:
    """One deployment's breaker and counts; moments are seconds since the epoch."""

    def __init__(self, deployment_id: int) -> None:
        self.deployment_id = deployment_id
        self.record: Record | None = None  # `None`: the breaker is closed
        self.epoch = 0  # what began before the last move of the breaker says nothing of it
        self.is_probed = False  # by a call of this process
        self.running = 0
        self.first: Times = Counter()  # of the calls that the others do not know of
        self.cooldown_until = 0.0  # the vendor has asked for that
        self._in_a_row = 0
        self._failed_at = 0.0
        self._unsent: dict[int, Window] = {}
        self._shared = Window()
        self._change: Change | None = None  # not yet told to the others
        self._moves = 0  # of the breaker, made here
        self._moves_told = 0
        self._has_new_cooldown = False
        self._is_cleared = False

    def succeeded(self, now: float) -> None:
        """Count a call that was answered."""
        self._window(now).calls += 1
        self._in_a_row = 0

    def failed(self, now: float, *, is_counted: bool) -> None:
        """Count a failure, of a call that `is_counted` already or not; open if it is one more."""
        window = self._window(now)
        window.failures += 1
        window.calls += 0 if is_counted else 1
        self._in_a_row = self._in_a_row + 1 if now - self._failed_at < WINDOW else 1
        self._failed_at = now
        if self.record is None and (self._in_a_row >= FAILURES_IN_A_ROW or self.window.is_failing):
            self.move(breaker.opened(None, now))

    def cool_down(self, until: float) -> None:
        """Ask nothing of the deployment until then, because its vendor wishes that."""
        self.cooldown_until = max(self.cooldown_until, until)
        self._has_new_cooldown = True

    def move(self, record: Record | None) -> None:
        """Let the breaker go to `record`, here at once and for all with the next report."""
        before = self._change.before if self._change else self.record
        self._change = Change(before, record)
        if record is None:
            self._is_cleared = True
        self._make(record)

    def change_to(self, record: Record) -> Change:
        """Return the move to `record` as the others would see it."""
        return Change(self._change.before if self._change else self.record, record)

    def changed(self, record: Record) -> None:
        """Take note that all processes have seen the move to `record`."""
        self._change = None
        self._make(record)

    def reset(self) -> None:
        """Close the breaker, as somebody wishes who knows better."""
        self._change = None
        self.cooldown_until = 0.0
        self._make(None)

    def report(self, report: Report, now: float) -> None:
        """Add what the others do not know yet; `told` or `kept_back` follows."""
        if self.is_probed and self.record and self.record.until - now < LEASE / 2:
            self.move(breaker.probed(self.record, now))
        self._moves_told = self._moves
        if self._unsent:
            report.windows[self.deployment_id], self._unsent = self._unsent, {}
        if self.first:
            report.first[self.deployment_id], self.first = self.first, Counter()
        if self.running:
            report.running[self.deployment_id] = self.running
        if self._has_new_cooldown:
            report.cooldowns[self.deployment_id] = self.cooldown_until
            self._has_new_cooldown = False
        if self._change:
            report.changes[self.deployment_id] = self._change
            self._change = None
        if self._is_cleared:
            report.cleared.append(self.deployment_id)
            self._is_cleared = False

    def told(self, shared: Shared) -> None:
        """Take over what all processes know, after a report that has arrived."""
        self._shared = shared.windows.get(self.deployment_id, Window())
        self.cooldown_until = max(
            self.cooldown_until, shared.cooldowns.get(self.deployment_id, 0.0)
        )
        if self._moves == self._moves_told:  # else this is older than what we know
            self._become(shared.breakers.get(self.deployment_id))

    def kept_back(self, report: Report, now: float) -> None:
        """Keep for the next report what has not arrived; meanwhile only our own calls count."""
        self.first.update(report.first.get(self.deployment_id, {}))
        for bucket, window in report.windows.get(self.deployment_id, {}).items():
            if bucket > (now - WINDOW) // BUCKET:
                self._unsent.setdefault(bucket, Window()).add(window)
        self._shared = Window()
        self._has_new_cooldown |= self.deployment_id in report.cooldowns
        if lost := report.changes.get(self.deployment_id):
            self._change = Change(lost.before, self.record)
        self._is_cleared |= self.deployment_id in report.cleared

    @property
    def window(self) -> Window:
        """The calls of the last minute, as far as they are known here."""
        total = Window()
        for window in (self._shared, *self._unsent.values()):
            total.add(window)
        return total

    def _make(self, record: Record | None) -> None:
        """Move, and log it; the processes that merely take it over do not."""
        old, new = _state(self.record), _state(record)
        if old != new:
            level = logger.warning if new == "open" else logger.info
            level("llm.breaker", deployment=self.deployment_id, **{"from": old, "to": new})
        self._moves += 1
        is_probed = self.is_probed and record is not None
        self._become(record)
        self.is_probed = is_probed

    def _become(self, record: Record | None) -> None:
        if record != self.record:
            self.is_probed = False  # another process or staff have decided otherwise
        if _state(self.record) != _state(record):
            self.epoch += 1
            self._in_a_row = 0
        if self.record is not None and record is None:
            self._shared = Window()
            self._unsent.clear()
        self.record = record

    def _window(self, now: float) -> Window:
        bucket = int(now // BUCKET)
        window = self._unsent.get(bucket)
        if window is None:
            window = self._unsent[bucket] = Window()
        return window


def _state(record: Record | None) -> State:
    return record.state if record else "closed"
