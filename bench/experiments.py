"""`python bench/experiments.py`: how often the figures of prompt experiments are wrong.

Simulated experiments are looked at after each batch of units, by the code that the pages use. One
is wrong if any of its looks was: an A/A experiment that was ever called different, an interval that
ever missed the truth. Ends with a table; `tests/test_prompts_statistics_peeking.py` makes a small
one.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from prompts.statistics.comparison import Arm, Comparison, Finding, State, compare_arm  # noqa: E402
from prompts.statistics.confidence import Confidence  # noqa: E402
from prompts.statistics.differences import absolute  # noqa: E402
from prompts.statistics.metrics import COST, ERRORS, THUMBS, Metric  # noqa: E402
from prompts.statistics.sample_ratio import Period, sample_ratio  # noqa: E402
from prompts.statistics.sums import Sums  # noqa: E402

Floats = NDArray[np.float64]
# Numerators and denominators of so many units; the numerator is so many times that of control.
Draw = Callable[[np.random.Generator, int, float], tuple[Floats, Floats]]
CONFIDENCE = Confidence()
ONE_LOOK = 1.96  # what a test that allows one look takes for certain


def sizes(rng: np.random.Generator, units: int) -> Floats:
    """Return requests by unit: half make 3 at most, one in a hundred 45 and more."""
    return np.ceil(rng.lognormal(1.0, 1.2, units))


def thumbs_of_one(rng: np.random.Generator, units: int, effect: float) -> tuple[Floats, Floats]:
    return (rng.random(units) < 0.1 * effect).astype(float), np.ones(units)


def skewed_cost(rng: np.random.Generator, units: int, effect: float) -> tuple[Floats, Floats]:
    return rng.lognormal(0.0, 1.5, units) * effect, np.ones(units)


def cost_of_requests(rng: np.random.Generator, units: int, effect: float) -> tuple[Floats, Floats]:
    requests = sizes(rng, units)
    return requests * rng.lognormal(0.0, 0.8, units) * effect, requests


def errors_of_requests(
    rng: np.random.Generator, units: int, effect: float
) -> tuple[Floats, Floats]:
    requests, mean = sizes(rng, units), 0.03 * effect
    chance = rng.beta(0.5, 0.5 / mean - 0.5, units)
    return rng.binomial(requests.astype(int), chance).astype(float), requests


def votes_of_people(rng: np.random.Generator, units: int, effect: float) -> tuple[Floats, Floats]:
    votes = (rng.random(units) < 0.3).astype(float) * np.ceil(rng.exponential(1.5, units))
    mean = 0.7 * effect
    chance = rng.beta(10 * mean, 10 * (1 - mean), units)
    return rng.binomial(votes.astype(int), chance).astype(float), votes


@dataclass(frozen=True)
class Scenario:
    """A kind of data, how units are split, and how the arm differs from control."""

    name: str
    metric: Metric
    draw: Draw
    arm_share: float = 0.5
    effect: float = 1.0
    units: int = 5000
    step: int = 100
    returning: bool = False  # all units come early, and their requests over all of the time

    def courses(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return the sums of control and of the arm at each look."""
        in_arm = rng.random(self.units) < self.arm_share
        sides = ((~in_arm, 1.0), (in_arm, self.effect))
        courses = [self._course(rng, side, effect) for side, effect in sides]
        return courses[0], courses[1]

    def _course(self, rng: np.random.Generator, side: NDArray[np.bool_], effect: float) -> Floats:
        y, x = self.draw(rng, self.units, effect)
        if self.returning:
            return self._returning(rng, y[side], x[side])
        each = np.stack([np.ones(self.units), y, y * y, x, x * x, x * y]) * side
        return each.cumsum(axis=1)[:, self.step - 1 :: self.step].T

    def _returning(self, rng: np.random.Generator, y: Floats, x: Floats) -> Floats:
        """Spread the requests of each unit over the looks, with noise around its average."""
        looks = self.units // self.step
        first = rng.integers(0, looks // 5, len(x))
        chances = np.arange(looks)[None, :] >= first[:, None]
        counts = rng.multinomial(x.astype(int), chances / chances.sum(axis=1, keepdims=True))
        noise = rng.gamma(np.maximum(counts, 1e-9)) / np.maximum(counts, 1)
        xs = counts.cumsum(axis=1).astype(float)
        ys = (counts * noise * (y / x)[:, None]).cumsum(axis=1)
        seen = (xs > 0).astype(float)
        each = np.stack([seen, ys, ys**2, xs, xs**2, xs * ys])
        summed: Floats = each.sum(axis=1)
        return summed.T

    @property
    def truth(self) -> float:
        """The true difference, from more units than any experiment has."""
        if self.effect == 1.0:
            return 0.0
        rng = np.random.default_rng(1)
        values = [self.draw(rng, 1_000_000, effect) for effect in (1.0, self.effect)]
        here, there = (float(y.sum() / x.sum()) for y, x in values)
        return there - here


@dataclass(frozen=True)
class Tally:
    """Shares of the experiments; units are the median of those that came so far."""

    certain: float  # called different at any look: in an A/A experiment, a false alarm
    missed: float  # the interval of the difference missed the truth at any look
    missed_relative: float  # so did the one of the relative difference
    peeked: float  # a test that allows one look said "different" at any look
    first_units: float  # when there was enough data for an interval
    certain_units: float


@dataclass(frozen=True)
class Course:
    """What came of one experiment."""

    certain_at: float = math.nan
    ready_at: float = math.nan
    missed: bool = False
    missed_relative: bool = False
    peeked: bool = False


def simulate(scenario: Scenario, experiments: int, seed: int) -> Tally:
    """Run so many experiments and count what was ever wrong."""
    rng, truth = np.random.default_rng(seed), scenario.truth
    courses = [_look(scenario, truth, rng) for _ in range(experiments)]
    return Tally(
        certain=float(np.mean([not math.isnan(one.certain_at) for one in courses])),
        missed=float(np.mean([one.missed for one in courses])),
        missed_relative=float(np.mean([one.missed_relative for one in courses])),
        peeked=float(np.mean([one.peeked for one in courses])),
        first_units=_median([one.ready_at for one in courses]),
        certain_units=_median([one.certain_at for one in courses]),
    )


def _median(units: list[float]) -> float:
    came = [count for count in units if not math.isnan(count)]
    return float(np.median(came)) if came else math.nan


def _look(scenario: Scenario, truth: float, rng: np.random.Generator) -> Course:
    certain_at = ready_at = math.nan
    missed = missed_relative = peeked = False
    for control, arm in _sums(scenario, rng):
        found = _compare(scenario, control, arm)
        peeked = peeked or _peek(control, arm)
        if found.state is not State.READY or found.difference is None:
            continue
        ready_at = found.units if math.isnan(ready_at) else ready_at
        missed = missed or _misses(found.difference, truth)
        missed_relative = missed_relative or _misses(found.relative, scenario.effect - 1)
        if math.isnan(certain_at) and found.excludes_zero and found.p_value <= CONFIDENCE.alpha:
            certain_at = found.units
    return Course(certain_at, ready_at, missed, missed_relative, peeked)


def _sums(scenario: Scenario, rng: np.random.Generator) -> Iterator[tuple[Sums, Sums]]:
    for rows in zip(*scenario.courses(rng), strict=True):
        control, arm = (Sums(int(row[0]), *map(float, row[1:])) for row in rows)
        yield control, arm


def _compare(scenario: Scenario, control: Sums, arm: Sums) -> Comparison:
    name = scenario.metric.name
    arms = Arm("A", {name: control}), Arm("B", {name: arm})
    return compare_arm(scenario.metric, CONFIDENCE, *arms)


def _peek(control: Sums, arm: Sums) -> bool:
    """Return whether a test that allows one look would say "different"."""
    found = absolute(control, arm)
    if found is None or min(control.units, arm.units) < 30 or not found.variance:
        return False
    return abs(found.value) > ONE_LOOK * math.sqrt(found.variance)


def _misses(finding: Finding | None, truth: float) -> bool:
    return finding is not None and not finding.interval.low <= truth <= finding.interval.high


def splits(experiments: int, units: int, step: int, seed: int) -> tuple[float, float]:
    """Return how often a fair split ever was an alarm: by chi-square, and sequentially."""
    rng = np.random.default_rng(seed)
    alarms = [0, 0]
    for _ in range(experiments):
        in_arm = (rng.random(units) < 0.5).cumsum()[step - 1 :: step]
        looks = [
            sample_ratio([Period((step * (look + 1) - int(there), int(there)), (1.0, 1.0))])
            for look, there in enumerate(in_arm)
        ]
        alarms[0] += any(look.is_alarm for look in looks)
        alarms[1] += any(look.p_value_any_time < 0.001 for look in looks)
    return alarms[0] / experiments, alarms[1] / experiments


SCENARIOS = [
    Scenario(
        f"{name}, {round(100 - 100 * share)}/{round(100 * share)}", metric, draw, share, effect
    )
    for name, metric, draw, effects in (
        ("one vote in ten", THUMBS, thumbs_of_one, (1.0, 1.4)),
        ("cost, very skewed", COST, skewed_cost, (1.0, 0.7)),
        ("cost per request", COST, cost_of_requests, (1.0, 0.82)),
        ("errors per request", ERRORS, errors_of_requests, (1.0, 1.6)),
        ("thumbs up per vote", THUMBS, votes_of_people, (1.0, 0.85)),
    )
    for effect in effects
    for share in (0.5, 0.1)
] + [
    Scenario(
        "cost, people who return, 50/50",
        *(COST, cost_of_requests),
        effect=effect,
        units=1000,
        step=20,
        returning=True,
    )
    for effect in (1.0, 0.82)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print("| data, split | effect | certain | missed | relative | one-look test | from | after |")
    print("|---|---|---|---|---|---|---|---|")
    jobs = [(scenario, options.experiments, seed) for seed, scenario in enumerate(SCENARIOS)]
    with Pool(options.processes) as pool:
        for line in pool.imap(_line, jobs):
            print(line, flush=True)
    chi_square, sequential = splits(options.experiments, units=20_000, step=100, seed=99)
    print(f"Fair splits with an alarm: {chi_square:.2%} by chi-square, {sequential:.2%} sequential")


def _line(job: tuple[Scenario, int, int]) -> str:
    scenario, experiments, seed = job
    tally = simulate(scenario, experiments, seed)
    effect = "none" if scenario.effect == 1.0 else f"{scenario.effect - 1:+.0%}"
    shown = (tally.certain, tally.missed, tally.missed_relative, tally.peeked)
    shares = " | ".join(f"{share:.1%}" for share in shown)
    counts = (tally.first_units, tally.certain_units)
    units = " | ".join("-" if math.isnan(count) else f"{count:,.0f}" for count in counts)
    return f"| {scenario.name} | {effect} | {shares} | {units} |"


if __name__ == "__main__":
    main()
