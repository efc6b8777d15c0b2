"""Which rules count for a call: the most specific ones of each check, at most a second old."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import structlog

from core.cached import Cached
from core.errors import DependencyDown
from llm.guardrails import settings as rule_settings
from llm.guardrails.findings import Check, CheckFailed, Findings, Way
from llm.guardrails.settings import RuleSettings
from llm.models import GuardrailRule
from llm.models.guardrails import Action, CheckName, Direction
from llm.types import Call

logger = structlog.get_logger(__name__)

MOST_KNOWN = 10_000  # organizations


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be applied."""

    name: str
    check_name: str
    action: str
    direction: str
    organization_id: int | None
    prompt_name: str
    surface: str
    settings: RuleSettings
    check: Check | None  # None: moderation

    @property
    def specificity(self) -> tuple[bool, bool, bool]:
        """What it names: a prompt counts more than an organization, that more than a surface."""
        return (bool(self.prompt_name), self.organization_id is not None, bool(self.surface))

    @property
    def changes(self) -> bool:
        """Whether it may alter or end what it looks at."""
        return self.action != Action.LOG

    def goes(self, way: Way) -> bool:
        """Return whether it looks at texts that go this way."""
        return self.direction in (way, Direction.BOTH)

    def fits(self, prompt_name: str, surface: str) -> bool:
        """Return whether it counts for calls with this prompt from there."""
        return self.prompt_name in ("", prompt_name) and self.surface in ("", surface)


@dataclass(frozen=True, slots=True)
class Applying:
    """The rules that count for one call."""

    incoming: tuple[Rule, ...] = ()
    outgoing: tuple[Rule, ...] = ()


NONE = Applying()


class Unreadable:
    """Stands for a rule that makes no sense: it fails with each text."""

    def check(self, text: str, direction: Way) -> Findings:
        raise CheckFailed("The rule cannot be read.")

    def growing(self, text: str) -> int:
        return len(text)


class RuleSet:
    """All rules of an organization, its own and everybody's."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._chosen: dict[tuple[str, str], Applying] = {}

    def applying(self, prompt_name: str, surface: str) -> Applying:
        """Return what counts for calls with this prompt from there."""
        if not self._rules:
            return NONE
        key = (prompt_name, surface)
        chosen = self._chosen.get(key)
        if chosen is None:
            fitting = [rule for rule in self._rules if rule.fits(prompt_name, surface)]
            chosen = Applying(_chosen(fitting, "in"), _chosen(fitting, "out"))
            self._chosen[key] = chosen
        return chosen


async def applying(call: Call) -> Applying:
    """Return the rules for `call`. Where PostgreSQL is away, those that were known last count.

    Raises `DependencyDown` where none were ever known: then nobody can say what is forbidden.
    """
    organization = call.principal.organization_id
    try:
        found = await _rules.get(organization)
    except DependencyDown:
        known = _known.get(organization)
        if known is None:
            raise
        found = known
    return found.applying(_prompt_of(call), call.surface)


def known(call: Call) -> Applying | None:
    """Return the rules for `call` without waiting; `None` where they were never looked up."""
    found = _known.get(call.principal.organization_id)
    return None if found is None else found.applying(_prompt_of(call), call.surface)


def forget() -> None:
    """Look everything up anew, for tests and for a change made in this process."""
    _rules.clear()
    _known.clear()


def load(organization_id: int | None) -> RuleSet:
    """Return the rules as they stand; without an organization, everybody's alone."""
    rows = GuardrailRule.objects.active_for(organization_id)
    return RuleSet([_rule(row) for row in rows])


def _load(organization_id: int) -> RuleSet:
    found = load(organization_id)
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[organization_id] = found
    return found


def _rule(row: GuardrailRule) -> Rule:
    settings, check = _built(row)
    return Rule(
        name=row.name,
        check_name=row.check_name,
        action=row.action,
        direction=row.direction,
        organization_id=row.organization_id,
        prompt_name=row.prompt_name,
        surface=row.surface,
        settings=settings,
        check=check,
    )


def _built(row: GuardrailRule) -> tuple[RuleSettings, Check | None]:
    try:
        settings = rule_settings.read(row.settings)
        return settings, _check(row.check_name, settings)
    except (msgspec.ValidationError, re.error):  # it was not written by the admin
        logger.exception("llm.guardrail_unreadable", rule=row.name)
        return RuleSettings(), Unreadable()


@lru_cache(maxsize=1000)
def _check(check_name: str, settings: RuleSettings) -> Check | None:
    """Return the check of these settings; to build it takes longer than to load the rule."""
    return rule_settings.check_for(check_name, settings)


def _chosen(rules: Iterable[Rule], way: Way) -> tuple[Rule, ...]:
    """Return, of each check, the rules that are the most specific; none where one says off."""
    of_check: dict[str, list[Rule]] = {name: [] for name in CheckName.values}
    for rule in rules:
        if rule.goes(way):
            of_check[rule.check_name].append(rule)
    return tuple(rule for group in of_check.values() for rule in _most_specific(group))


def _most_specific(rules: list[Rule]) -> list[Rule]:
    highest = max((rule.specificity for rule in rules), default=None)
    counting = [rule for rule in rules if rule.specificity == highest]
    is_off = any(rule.action == Action.OFF for rule in counting)
    return [] if is_off else counting


def _prompt_of(call: Call) -> str:
    return call.prompt.name if call.prompt else ""


_rules: Cached[int, RuleSet] = Cached(_load)
_known: dict[int, RuleSet] = {}
