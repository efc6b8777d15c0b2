"""Reading the sums: all groups of a page in one pass over the rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import add
from typing import Any, TypeVar

from django.db.models import Q, QuerySet

from billing.models import Outcome, UsageModelDay, UsageRollup
from billing.reports.grouping import Group, Measure, grouped, once
from billing.reports.histograms import quantile_ms
from billing.reports.rates import Rates
from billing.reports.rollup_sql import (
    CACHE_HITS,
    ERRORS,
    HISTOGRAMS,
    SUMS,
    TOKENS,
    histogram_sum,
)

Member = TypeVar("Member")
FAILURES = (Outcome.FAILED.value, Outcome.INTERRUPTED.value)
Rows = QuerySet[UsageRollup] | QuerySet[UsageModelDay]

_SUMS = [
    *(Measure(f"sum({name})") for name in SUMS[:-2]),
    *(Measure(f"sum({name})", is_count=False) for name in SUMS[-2:]),
]
_BY_OUTCOME = [Measure(ERRORS), Measure(CACHE_HITS)]
_OF_MODELS = [Measure("sum(errors)"), Measure("sum(cache_hits)")]
_WORTH = [Measure(f"sum({name} * rate)", is_count=False) for name in SUMS[-2:]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What some attempts add up to."""

    attempts: int = 0
    requests: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cache_write_1h_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    errors: int = 0
    cache_hits: int = 0
    # In the display currency, each day's at its own rate; 0 where there is none.
    cost_worth: Decimal = Decimal(0)
    saved_worth: Decimal = Decimal(0)
    # What corrections have added on these days; it is no part of `cost_usd`.
    adjusted_usd: Decimal = Decimal(0)
    adjusted_worth: Decimal = Decimal(0)

    @property
    def together_usd(self) -> Decimal:
        return self.cost_usd + self.adjusted_usd

    @property
    def together_worth(self) -> Decimal:
        return self.cost_worth + self.adjusted_worth

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def tokens(self) -> int:
        return sum(getattr(self, name) for name in TOKENS)

    @property
    def error_rate(self) -> float | None:
        """Of the attempts at a model."""
        asked = self.attempts - self.cache_hits
        return self.errors / asked if asked else None

    @property
    def hit_rate(self) -> float | None:
        return self.cache_hits / self.attempts if self.attempts else None


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds that half, 95 and 99 of 100 answers did not exceed."""

    p50: int | None
    p95: int | None
    p99: int | None


@dataclass(frozen=True, slots=True)
class Latency:
    ttft: Times
    duration: Times


NOTHING = Latency(Times(None, None, None), Times(None, None, None))


def figures(
    rows: Rows, groups: Sequence[Group], rates: Rates | None = None
) -> dict[Group, dict[tuple[Any, ...], Figures]]:
    """Return for each group what its members add up to, by their values."""
    is_by_model = rows.model is UsageModelDay
    measures = [*_SUMS, *(_OF_MODELS if is_by_model else _BY_OUTCOME), *(_WORTH if rates else [])]
    others = ("errors", "cache_hits") if is_by_model else ("outcome", "is_cache_hit")
    found = grouped(rows, groups, measures, [*SUMS, *others], rates)
    return {
        group: {values: Figures(*sums) for values, sums in members.items()}
        for group, members in found.items()
    }


def costs(
    rows: Rows, groups: Sequence[Group], rates: Rates | None = None
) -> dict[Group, dict[tuple[Any, ...], Figures]]:
    """Return for each group what its members have cost, and nothing else, by their values."""
    measures = [Measure("sum(cost_usd)", is_count=False), *(_WORTH[:1] if rates else [])]
    found = grouped(rows, groups, measures, ["cost_usd"], rates)
    return {
        group: {
            values: Figures(cost_usd=sums[0], cost_worth=sums[-1] if rates else Decimal(0))
            for values, sums in members.items()
        }
        for group, members in found.items()
    }


def values(
    rows: QuerySet[UsageRollup], groups: Sequence[Group]
) -> dict[Group, set[tuple[Any, ...]]]:
    """Return for each group which members there are."""
    return {group: set(members) for group, members in grouped(rows, groups, []).items()}


def latency(rows: Rows, groups: Sequence[Group]) -> dict[Group, dict[tuple[Any, ...], Latency]]:
    """Return how long models took to answer: without the cache, failures and broken calls."""
    answered: QuerySet[Any] = rows
    if rows.model is not UsageModelDay:  # which has no others
        answered = answered.filter(~Q(outcome__in=FAILURES), is_cache_hit=False)
    # Read by all dimensions together, once, and added up from there: there are few.
    names = (name for group in groups for name in group)
    every = tuple(dict.fromkeys("tags" if name == "tag" else name for name in names))
    histograms = [histogram_sum(name) for name in HISTOGRAMS]
    found = once(answered, every, histograms, HISTOGRAMS)
    result = {}
    for group in groups:
        each = _each_tag(found, every) if "tag" in group else found.items()
        named = tuple("tag" if name == "tags" and "tag" in group else name for name in every)
        members = merged(each, named, group, _both)
        result[group] = {key: Latency(*map(_times, sums)) for key, sums in members.items()}
    return result


def _each_tag(
    found: Mapping[tuple[Any, ...], Member], every: Group
) -> Iterable[tuple[tuple[Any, ...], Member]]:
    """Return the members of all tags together as those of each of their tags."""
    place = every.index("tags")
    for key, member in found.items():
        for tag in key[place]:
            yield (*key[:place], tag, *key[place + 1 :]), member


def merged(
    members: Iterable[tuple[tuple[Any, ...], Member]],
    group: Group,
    to: Group,
    plus: Callable[[Member, Member], Member],
) -> dict[tuple[Any, ...], Member]:
    """Return the members of a group added up to those of a part of it."""
    places = [group.index(name) for name in to]
    result: dict[tuple[Any, ...], Member] = {}
    for key, member in members:
        part = tuple(key[place] for place in places)
        result[part] = plus(result[part], member) if part in result else member
    return result


def _both(one: Sequence[Any], other: Sequence[Any]) -> Sequence[Any]:
    """Return histograms added up, bucket by bucket."""
    return [list(map(add, *pair)) for pair in zip(one, other, strict=True)]


def _times(counts: Sequence[int]) -> Times:
    return Times(*(quantile_ms(counts, share) for share in (0.50, 0.95, 0.99)))
