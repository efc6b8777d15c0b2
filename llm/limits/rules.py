"""The limits in force, indexed so that a caller's are found without a search."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.cached import Cached
from llm.models import Limit, Scope
from llm.types import Call

EVERY = None  # the target of a rule that gives each of its scope a counter


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit as the hot path needs it."""

    id: int
    name: str
    scope: str
    requests: int | None
    tokens: int | None
    seconds: int
    parallel: int | None


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules in force, by scope and then by target."""

    by_scope: Mapping[str, Mapping[int | None, tuple[Rule, ...]]] = field(default_factory=dict)

    def applying_to(self, call: Call) -> Iterator[tuple[Rule, int | str]]:
        """Yield each rule that counts for the caller, and whose counter it is."""
        for scope, by_target in self.by_scope.items():
            caller = _caller(scope, call)
            if not caller:
                continue
            for rule in by_target.get(EVERY, ()):
                yield rule, caller
            if isinstance(caller, int):
                for rule in by_target.get(caller, ()):
                    yield rule, caller


def _caller(scope: str, call: Call) -> int | str | None:
    """Return who the caller is as far as the scope is concerned; nobody: no rule of it counts."""
    if scope == Scope.ORGANIZATION:
        return call.principal.organization_id
    if scope == Scope.USER:
        return call.principal.user_id
    if scope == Scope.API_KEY:
        return call.principal.api_key_id
    return call.ip


def _load(_: None) -> Rules:
    """Read them all, in one query."""
    by_scope: dict[str, dict[int | None, tuple[Rule, ...]]] = {}
    for limit in Limit.objects.filter(is_active=True).order_by("pk"):
        rule = Rule(
            id=limit.pk,
            name=limit.name,
            scope=str(limit.scope),
            requests=limit.requests,
            tokens=limit.tokens,
            seconds=limit.seconds,
            parallel=limit.parallel,
        )
        target = limit.organization_id or limit.user_id or limit.api_key_id or EVERY
        by_target = by_scope.setdefault(rule.scope, {})
        by_target[target] = (*by_target.get(target, ()), rule)
    return Rules(by_scope)


async def in_force() -> Rules:
    """Return the rules, at most a second old."""
    return await _rules.get(None)


def forget() -> None:
    """Read them anew with the next call."""
    _rules.clear()


_rules: Cached[None, Rules] = Cached(_load)
