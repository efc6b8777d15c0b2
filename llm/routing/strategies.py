"""In which order the deployments that can take a request are tried. Nothing here looks anything up.

By position   as staff have put them
By weight     drawn for each call, without putting back; weight 0 comes after all others
Cheapest      by what the request costs at most, with the same output from each; unpriced ones last
Fastest       by the time to the first token of the last minutes. One that nobody has called counts
              as the median of the others, and is tried first in one call of twenty: so that new
              ones, and those that were slow a while ago, get a chance to show what they can do
Least busy    by the calls that run at this moment; equals are drawn

Whoever has an open breaker comes after all others, whatever the strategy.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import inf
from random import Random
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from billing.pricing import worst_case_usd
from llm.health import DeploymentHealth
from llm.models import Strategy
from llm.routing.fitting import Candidate, Fitting, Prices

EXPLORED_SHARE = 0.05  # of the calls, by the fastest strategy
UNKNOWN = DeploymentHealth()

Doing = Mapping[int, DeploymentHealth]  # by deployment; who is not in it was not called lately


class Facts(Struct, frozen=True):
    """What a strategy may know."""

    doing: Doing
    prices: Prices
    random: Random

    def health_of(self, fitting: Fitting) -> DeploymentHealth:
        return self.doing.get(fitting.deployment.id, UNKNOWN)


class Ranked(Struct, frozen=True):
    """A deployment in its place, and why it stands there, for staff."""

    fitting: Fitting
    reason: str


def order(strategy: str, candidates: Sequence[Candidate], facts: Facts) -> list[Ranked]:
    """Return the candidates, which all fit, in the order in which they are tried."""
    if not candidates:
        return []
    if len(candidates) == 1:
        return [Ranked(candidates[0].fitting, "the only one")]
    return ORDERS[strategy](candidates, facts)


def broken_last(ranked: Sequence[Ranked], facts: Facts) -> list[Ranked]:
    """Return the same order, but whoever has an open breaker comes after all others."""
    if not facts.doing:
        return list(ranked)
    whole, broken = [], []
    for one in ranked:
        if facts.health_of(one.fitting).state == "open":
            broken.append(replace(one, reason="its breaker is open: only if all others fail"))
        else:
            whole.append(one)
    return whole + broken


def by_position(candidates: Sequence[Candidate], facts: Facts) -> list[Ranked]:
    return [Ranked(candidate.fitting, "in the route's order") for candidate in candidates]


def by_weight(candidates: Sequence[Candidate], facts: Facts) -> list[Ranked]:
    total = sum(candidate.step.weight for candidate in candidates)

    def drawn(candidate: Candidate) -> float:
        # The smallest of exponential waiting times: a draw by weight, without putting back.
        weight = candidate.step.weight
        return facts.random.expovariate(weight) if weight else inf

    def reason(weight: int) -> str:
        return f"drawn, with weight {weight} of {total}" if weight else "weight 0: after all others"

    return [
        Ranked(candidate.fitting, reason(candidate.step.weight))
        for candidate in sorted(candidates, key=drawn)
    ]


def by_price(candidates: Sequence[Candidate], facts: Facts) -> list[Ranked]:
    # The same output from each: otherwise the one that may say most would look dear.
    output = min(candidate.fitting.max_output_tokens for candidate in candidates)

    costs = [(_cost(one.fitting, output, facts), one.fitting) for one in candidates]
    costs.sort(key=lambda pair: (pair[0] is None, pair[0] or 0))
    return [Ranked(fitting, _in_words(usd, output)) for usd, fitting in costs]


def by_speed(candidates: Sequence[Candidate], facts: Facts) -> list[Ranked]:
    times = [(facts.health_of(one.fitting).p50_ttft_ms, one.fitting) for one in candidates]
    known = [time for time, _ in times if time is not None]
    usual = median(known) if known else 0.0
    times.sort(key=lambda pair: usual if pair[0] is None else pair[0])
    ranked = [
        Ranked(fitting, "no calls lately" if time is None else f"first token after {time:.0f} ms")
        for time, fitting in times
    ]
    unknown = [place for place, (time, _) in enumerate(times) if time is None]
    if known and unknown and facts.random.random() < EXPLORED_SHARE:
        explored = ranked.pop(facts.random.choice(unknown))
        reason = "no calls lately: tried first now, to learn how fast it is"
        ranked.insert(0, replace(explored, reason=reason))
    return ranked


def by_load(candidates: Sequence[Candidate], facts: Facts) -> list[Ranked]:
    loads = [(facts.health_of(one.fitting).running, one.fitting) for one in candidates]
    loads.sort(key=lambda pair: (pair[0], facts.random.random()))
    return [Ranked(fitting, f"calls running: {running}") for running, fitting in loads]


ORDERS: Mapping[str, Callable[[Sequence[Candidate], Facts], list[Ranked]]] = {
    Strategy.PRIORITY: by_position,
    Strategy.WEIGHTED: by_weight,
    Strategy.CHEAPEST: by_price,
    Strategy.FASTEST: by_speed,
    Strategy.LEAST_BUSY: by_load,
}


def _cost(fitting: Fitting, output: int, facts: Facts) -> Decimal | None:
    """Return what the request costs at most with so much output; `None`: nobody knows."""
    price = facts.prices.get(fitting.deployment.id)
    if price is None:
        return None
    return worst_case_usd(
        price,
        input_tokens=fitting.input_tokens,
        max_output_tokens=output,
        service_tiers=(),  # otherwise a vendor that also sells priority would look dear
    )


def _in_words(usd: Decimal | None, output: int) -> str:
    if usd is None:
        return "no price: after those that have one"
    return f"at most ${usd.normalize():f} with {output:,} tokens of output"
