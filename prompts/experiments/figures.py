"""What has been counted of each arm: from the usage records and what people said of the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef

from billing.models import UsageRecord
from prompts.experiments.results_sql import ARMS, RATIOS
from prompts.models import Experiment, Metric
from prompts.statistics.sample_ratio import Period, SampleRatio, sample_ratio
from prompts.statistics.sums import Sums


@dataclass(frozen=True, slots=True)
class Figures:
    """One arm's; cache hits and answers without a price are counted apart."""

    units: int
    requests: int
    cache_hits: int
    unpriced: int
    sums: Mapping[Metric, Sums]

    @property
    def cache_share(self) -> float | None:
        """What share of all requests were answered from the cache."""
        asked = self.requests + self.cache_hits
        return self.cache_hits / asked if asked else None


NOTHING = Figures(0, 0, 0, 0, dict.fromkeys(RATIOS, Sums.per_unit(0, 0.0, 0.0)))


def figures_of(experiment: Experiment) -> dict[str, Figures]:
    """Return what has been counted so far, for every arm by its name."""
    with connection.cursor() as cursor:
        cursor.execute(
            ARMS,
            {
                "experiment": experiment.name,
                "organization": experiment.prompt.organization_id,
                "prompt": experiment.prompt.name,
                "since": experiment.started_at,
            },
        )
        found = {row[0]: _figures(row[1:]) for row in cursor.fetchall()}
    return {arm.name: found.get(arm.name, NOTHING) for arm in experiment.arms.all()}


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
    units, requests, cache_hits, unpriced, *sums = row
    by_metric = zip(RATIOS, zip(*[iter(sums)] * 6, strict=True), strict=True)
    return Figures(
        units=units,
        requests=int(requests),
        cache_hits=int(cache_hits),
        unpriced=int(unpriced),
        sums={metric: Sums(*values) for metric, values in by_metric},
    )
