"""In which order deployments are tried: pure, so each rule is shown with made-up figures."""

from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from billing.pricing import PriceSnapshot
from llm.health import DeploymentHealth
from llm.providers import Connection, Deployment
from llm.routing import strategies
from llm.routing.fitting import Candidate, Fitting
from llm.routing.routes import Step
from llm.routing.strategies import Facts, Ranked


def candidate(number: int, *, weight: int = 1, max_output_tokens: int = 100) -> Candidate:
    connection = Connection(name="maker", kind="demo")
    deployment = Deployment(id=number, connections=(connection,), model=f"model-{number}")
    step = Step(deployment=deployment, weight=weight)
    return Candidate(step, Fitting(deployment, 1000, max_output_tokens), None)


def facts(doing: dict[int, DeploymentHealth] | None = None, seed: int = 1, **more: Any) -> Facts:
    return Facts(doing or {}, more.get("prices", {}), Random(seed))


def price(input_usd: str, output_usd: str) -> PriceSnapshot:
    return PriceSnapshot(Decimal(input_usd), Decimal(output_usd))


def numbers(ranked: list[Ranked]) -> list[int]:
    return [one.fitting.deployment.id for one in ranked]


def test_by_position_as_staff_have_put_them() -> None:
    candidates = [candidate(2), candidate(1), candidate(3)]

    assert numbers(strategies.order("priority", candidates, facts())) == [2, 1, 3]


def test_by_weight_each_is_first_as_often_as_its_weight_says() -> None:
    candidates = [candidate(1, weight=3), candidate(2), candidate(3, weight=0)]

    orders = [
        numbers(strategies.order("weighted", candidates, facts(seed=seed))) for seed in range(2000)
    ]

    firsts = Counter(order[0] for order in orders)
    assert firsts[1] == pytest.approx(1500, abs=80)
    assert firsts[2] == pytest.approx(500, abs=80)
    assert {order[2] for order in orders} == {3}  # weight 0: after all others


def test_cheapest_compares_the_same_output_of_each() -> None:
    # By its own limit the first would look dear, because it may say ten times as much.
    candidates = [candidate(1, max_output_tokens=1000), candidate(2), candidate(3), candidate(4)]
    prices = {1: price("1", "2"), 2: price("2", "2"), 3: None, 4: price("0.5", "2")}

    ranked = strategies.order("cheapest", candidates, facts(prices=prices))

    assert numbers(ranked) == [4, 1, 2, 3]
    assert ranked[0].reason == "at most $0.0007 with 100 tokens of output"
    assert ranked[3].reason == "no price: after those that have one"


def test_fastest_takes_the_unknown_for_the_median_of_the_others() -> None:
    candidates = [candidate(number) for number in (1, 2, 3, 4)]
    doing = {
        1: DeploymentHealth(p50_ttft_ms=900.0),
        2: DeploymentHealth(p50_ttft_ms=100.0),
        4: DeploymentHealth(p50_ttft_ms=300.0),
    }

    ranked = strategies.order("fastest", candidates, facts(doing))

    assert numbers(ranked) == [2, 3, 4, 1]
    assert [one.reason for one in ranked[:2]] == ["first token after 100 ms", "no calls lately"]


def test_fastest_tries_an_unknown_one_now_and_then() -> None:
    candidates = [candidate(1), candidate(2)]
    doing = {1: DeploymentHealth(p50_ttft_ms=5.0)}

    firsts = Counter(
        numbers(strategies.order("fastest", candidates, facts(doing, seed=seed)))[0]
        for seed in range(2000)
    )

    assert firsts[2] == pytest.approx(100, abs=40)


def test_fastest_without_any_figure_is_the_routes_order() -> None:
    candidates = [candidate(3), candidate(1), candidate(2)]

    assert numbers(strategies.order("fastest", candidates, facts())) == [3, 1, 2]


def test_least_busy_goes_where_fewest_calls_run_and_draws_among_equals() -> None:
    candidates = [candidate(1), candidate(2), candidate(3)]
    doing = {1: DeploymentHealth(running=4)}

    orders = {
        tuple(numbers(strategies.order("least_busy", candidates, facts(doing, seed=seed))))
        for seed in range(50)
    }

    assert orders == {(2, 3, 1), (3, 2, 1)}


@pytest.mark.parametrize("strategy", strategies.ORDERS)
def test_an_open_breaker_comes_last_whatever_the_strategy(strategy: str) -> None:
    candidates = [candidate(1), candidate(2), candidate(3)]
    doing = {
        1: DeploymentHealth(state="open", p50_ttft_ms=1.0),
        2: DeploymentHealth(state="half_open", p50_ttft_ms=2.0, running=1),
        3: DeploymentHealth(p50_ttft_ms=2.0, running=1),
    }
    known = facts(doing)

    ranked = strategies.broken_last(strategies.order(strategy, candidates, known), known)

    assert numbers(ranked)[-1] == 1
    assert ranked[-1].reason == "its breaker is open: only if all others fail"
    assert sorted(numbers(ranked)) == [1, 2, 3]
