"""How many units an experiment needs, and how long that takes, by what its prompt's calls were."""

import math
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from prompts.experiments.design import METRICS, SEVERAL
from prompts.experiments.figures import figures_of_traffic
from prompts.experiments.plans import Plan
from prompts.models import Prompt
from prompts.statistics.comparison import FEWEST_UNITS
from prompts.statistics.planning import units_needed
from prompts.statistics.wording import percent, roughly

DAYS = 14  # of traffic that are looked at


@dataclass(frozen=True, slots=True)
class Forecast:
    """What it takes to see the smallest difference worth seeing."""

    units: int | None  # of all arms together; None: nothing is known of the metric
    days: int | None
    text: str


def forecast(prompt: Prompt, plan: Plan) -> Forecast:
    """Return what the plan takes at the traffic of the last two weeks."""
    now = timezone.now()
    lately = figures_of_traffic(prompt, plan.unit, now - timedelta(days=DAYS))
    control = next((arm.weight for arm in plan.arms if arm.is_control), 0)
    smallest = min((arm.weight for arm in plan.arms if not arm.is_control), default=0)
    if not control or not smallest:
        return Forecast(None, None, "Give the control and another arm a weight, and save.")
    needed = units_needed(
        lately.sums[plan.primary_metric],
        smallest=plan.smallest_effect,
        arm_share=smallest / (smallest + control),
        comparisons=len(plan.arms) - 1,
    )
    if needed is None or lately.first_at is None or lately.units < FEWEST_UNITS:
        return Forecast(None, None, _unknown(plan))
    weights = sum(arm.weight for arm in plan.arms)
    units = math.ceil(needed.watched.total * weights / (smallest + control))
    past = max((now - lately.first_at) / timedelta(days=1), 1.0)
    days = math.ceil(units * past / lately.units)
    return Forecast(units, days, _known(plan, units, days))


def _unknown(plan: Plan) -> str:
    figure = METRICS[plan.primary_metric].label
    return (
        f"Too little is known yet of the {figure}: calls by {FEWEST_UNITS} {SEVERAL[plan.unit]} in "
        f"{DAYS} days would tell how it varies."
    )


def _known(plan: Plan, units: int, days: int) -> str:
    return (
        f"To see a difference of {percent(plan.smallest_effect)} in "
        f"{METRICS[plan.primary_metric].label}, it takes about {roughly(units)} "
        f"{SEVERAL[plan.unit]} in all arms: about {roughly(days)} "
        f"{'day' if days == 1 else 'days'}, if as many come as lately."
    )
