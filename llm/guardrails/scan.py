"""A text under rules: what they find in it, and how far what they find is final."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import structlog

from core.errors import AppError
from llm.guardrails import injection
from llm.guardrails.findings import CONTEXT, WINDOW, CheckFailed, Finding, Way
from llm.guardrails.rules import Rule
from llm.models.guardrails import Action, CheckName

logger = structlog.get_logger(__name__)

PIECE = 16_000  # characters that are looked at in one go; between two others may run
PATIENCE = 10.0  # CPU seconds for all texts of a request


class Unavailable(AppError):
    """A rule that refuses calls could not be applied, so nobody knows whether it would have."""

    code = "guardrail_unavailable"
    http_status = 503


@dataclass(frozen=True, slots=True)
class Hit:
    """A finding of a rule."""

    rule: Rule
    kind: str
    start: int
    end: int
    score: float = 1.0

    def moved(self, by: int) -> "Hit":
        """Return it in a text that begins so many characters earlier."""
        return replace(self, start=self.start + by, end=self.end + by)


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a text that is replaced or blocked, because of one rule or of several."""

    kind: str
    check_name: str
    action: str
    start: int
    end: int

    @property
    def is_blocked(self) -> bool:
        return self.action == Action.BLOCK


class Budget:
    """The CPU time that is left for a request's texts."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._ends_at = time.thread_time() + seconds

    @property
    def is_spent(self) -> bool:
        return time.thread_time() > self._ends_at


def look(rules: Sequence[Rule], text: str, way: Way) -> list[Hit]:
    """Return what the rules find in a text; one that fails finds nothing, unless it would block.

    Raises `Unavailable`.
    """
    hits: list[Hit] = []
    for rule in rules:
        try:
            findings = rule.check.check(text, way) if rule.check else ()
        except CheckFailed:
            failed(rule)
        else:
            hits += [Hit(rule, one.kind, one.start, one.end, one.score) for one in findings]
    return hits


def failed(rule: Rule) -> None:
    """Raise `Unavailable` where the rule would have blocked; otherwise the call goes on."""
    logger.warning("llm.guardrail_failed", rule=rule.name, check=rule.check_name)
    if rule.action == Action.BLOCK:
        raise Unavailable("A guardrail of this call could not be checked; try again in a moment.")


def settled(rules: Sequence[Rule], text: str, hits: Iterable[Hit]) -> int:
    """Return up to where a text is final, whatever follows it."""
    growing = [rule.check.growing(text) for rule in rules if rule.check]
    end = min(growing, default=len(text))
    # What surely matches is held as a whole, also where only its end may still move.
    return min([end, *(hit.start for hit in hits if hit.start < end <= hit.end)])


def scan(rules: Sequence[Rule], text: str, way: Way, budget: Budget) -> list[Hit]:
    """Return what the rules find in a whole text, of any length; raise `Unavailable`."""
    hits: list[Hit] = []
    position = 0
    while position < len(text):
        if budget.is_spent:
            for rule in rules:
                failed(rule)
            break
        base, end = max(0, position - CONTEXT), min(len(text), position + PIECE)
        piece = text[base:end]
        found = look(rules, piece, way)
        final = len(piece) if end == len(text) else _final(rules, piece, found)
        hits += [hit.moved(base) for hit in found if position - base <= hit.start < final]
        position = base + final
    return _over_threshold(hits)


def places(hits: Iterable[Hit]) -> list[Place]:
    """Return what is changed where, in order: overlapping hits are one place, a block wins."""
    found: list[Place] = []
    changing = [hit for hit in hits if hit.rule.changes]
    for hit in sorted(changing, key=lambda hit: (hit.start, -hit.end)):
        place = Place(hit.kind, hit.rule.check_name, hit.rule.action, hit.start, hit.end)
        if found and place.start < found[-1].end:
            place = _joined(found.pop(), place)
        found.append(place)
    return found


def _joined(first: Place, second: Place) -> Place:
    stricter = second if second.is_blocked and not first.is_blocked else first
    return replace(stricter, start=first.start, end=max(first.end, second.end))


def _final(rules: Sequence[Rule], piece: str, found: Sequence[Hit]) -> int:
    end = settled(rules, piece, found)
    # A match as long as a piece is cut: there is none such, but a piece may be all of one run.
    return end if end > CONTEXT else len(piece) - WINDOW


def _over_threshold(hits: list[Hit]) -> list[Hit]:
    """Return the hits without those of rules that are not sure enough of the whole text."""
    scored = {hit.rule.name: hit.rule for hit in hits if hit.rule.check_name == CheckName.INJECTION}
    unsure = {name for name, rule in scored.items() if _score(hits, name) < _threshold(rule)}
    return [hit for hit in hits if hit.rule.name not in unsure] if unsure else hits


def _score(hits: Iterable[Hit], rule_name: str) -> float:
    own = [hit for hit in hits if hit.rule.name == rule_name]
    return injection.score([Finding(hit.kind, hit.start, hit.end, hit.score) for hit in own])


def _threshold(rule: Rule) -> float:
    wanted = rule.settings.threshold
    return injection.THRESHOLD if wanted is None else wanted
