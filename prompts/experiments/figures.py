"""What has been counted of each arm: from the usage records and what people said of the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef

from billing.models import UsageRecord
from prompts.experiments.results_sql import ARMS, RATIOS, traffic
from prompts.models import Experiment, Metric, Prompt, Unit
from prompts.statistics.sample_ratio import Period, SampleRatio, sample_ratio
from prompts.statistics.sums import Sums

MOST_TRAFFIC = 50_000  # attempts that a forecast looks at


@dataclass(frozen=True, slots=True)
class Figures:
    """One arm's; cache hits and answers without a price are counted apart."""

    units: int
    requests: int
    cache_hits: int
    unpriced: int
    first_at: datetime | None
    sums: Mapping[Metric, Sums]

    @property
    def cache_share(self) -> float | None:
        """What share of all requests were answered from the cache."""
        asked = self.requests + self.cache_hits
        return self.cache_hits / asked if asked else None


NOTHING = Figures(0, 0, 0, 0, None, dict.fromkeys(RATIOS, Sums.per_unit(0, 0.0, 0.0)))


def figures_of(experiment: Experiment) -> dict[str, Figures]:
    """Return what has been counted so far, for every arm by its name."""
    about: dict[str, Any] = {"experiment": experiment.name, "since": experiment.started_at}
    found = _counted(ARMS, experiment.prompt, about)
    return {arm.name: found.get(arm.name, NOTHING) for arm in experiment.arms.all()}


# Without an experiment, records know people and keys. Of a conversation, and of people whom a
# caller names itself, they know nothing: each request then counts as one of its own.
UNIT_OF_A_RECORD = {
    Unit.USER: "coalesce(user_id::text, request_id)",
    Unit.CONVERSATION: "request_id",
    Unit.KEY: "coalesce(api_key_id::text, request_id)",
}


def figures_of_traffic(prompt: Prompt, unit: Unit, since: datetime) -> Figures:
    """Return what the prompt's calls were like lately, whatever version they had."""
    about = {"since": since, "most": MOST_TRAFFIC}
    return _counted(traffic(UNIT_OF_A_RECORD[unit]), prompt, about).get("", NOTHING)


def _counted(statement: str, prompt: Prompt, about: Mapping[str, Any]) -> dict[str, Figures]:
    of_prompt: dict[str, Any] = {"organization": prompt.organization_id, "prompt": prompt.name}
    with connection.cursor() as cursor:
        cursor.execute(statement, {**of_prompt, **about})
        return {row[0]: _figures(row[1:]) for row in cursor.fetchall()}


def split_of(experiment: Experiment) -> SampleRatio | None:
    """Return whether units came as the weights of their time say; `None` where none came yet.

    Only units that were answered count: a version that fails before its calls are recorded shows
    as units that are missing.
    """
    answered = UsageRecord.objects.filter(
        organization=experiment.prompt.organization_id,
        experiment=experiment.name,
        prompt_name=experiment.prompt.name,
        started_at__gte=experiment.started_at,
        unit=OuterRef("unit"),
    )
    drawn = experiment.exposures.filter(Exists(answered)).order_by()
    counted = drawn.values_list("shares", "arm__name").annotate(units=Count("pk"))
    names = [arm.name for arm in experiment.arms.all()]
    periods: dict[tuple[float, ...], dict[str, int]] = {}
    for shares, arm, units in counted:
        weights = tuple(shares.get(name, 0.0) for name in names)
        periods.setdefault(weights, {})[arm] = units
    return (
        sample_ratio([_period(names, *period) for period in periods.items()]) if periods else None
    )


def _period(names: list[str], weights: tuple[float, ...], units: dict[str, int]) -> Period:
    return Period(units=tuple(units.get(name, 0) for name in names), weights=weights)


def _figures(row: tuple[Any, ...]) -> Figures:
    units, requests, cache_hits, unpriced, first_at, *sums = row
    by_metric = zip(RATIOS, zip(*[iter(sums)] * 6, strict=True), strict=True)
    return Figures(
        units=units,
        requests=int(requests),
        cache_hits=int(cache_hits),
        unpriced=int(unpriced),
        first_at=first_at,
        sums={metric: Sums(*values) for metric, values in by_metric},
    )
