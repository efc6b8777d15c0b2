"""What is counted of each arm, what is said of it, and when harm ends an experiment."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization
from billing.models import UsageRecord
from prompts.experiments import services
from prompts.experiments.figures import figures_of, split_of
from prompts.experiments.results import Report, last_report, report_of
from prompts.experiments.watching import watch
from prompts.models import Experiment, Metric, Prompt
from tests.experiments_support import begun_earlier, make_prompt, started
from tests.experiments_usage import Calls, spread


@pytest.fixture
def prompt(db: None) -> Prompt:
    return make_prompt(Organization.objects.create(name="Acme", slug="acme"))


@pytest.fixture
def experiment(prompt: Prompt) -> Experiment:
    return begun_earlier(started(prompt, guardrail_metric="errors"), hours=1)


@pytest.fixture
def calls(experiment: Experiment) -> Calls:
    return Calls(experiment)


def values(experiment: Experiment, arm: str = "A") -> dict[str, float | None]:
    found = next(one for one in report_of(experiment).arms if one.name == arm)
    return {name: value and round(value, 6) for name, value in found.values.items()}


def test_a_request_with_retries_is_one_and_costs_what_all_attempts_cost(
    experiment: Experiment, calls: Calls
) -> None:
    failed = {"outcome": "failed", "ttft_ms": None, "duration_ms": 9000, "output_tokens": 0}
    calls.call("A", "user:1", request_id="r", attempt=1, cost_usd=Decimal("0.002"), **failed)
    calls.call("A", "user:1", request_id="r", attempt=2, cost_usd=Decimal("0.003"))
    calls.save()

    found = values(experiment)

    assert figures_of(experiment)["A"].requests == 1
    assert (found["cost"], found["errors"]) == (0.005, 0)
    assert (found["ttft"], found["duration"], found["output_tokens"]) == (0.2, 1.0, 50)


def test_what_came_from_the_cache_is_counted_apart(experiment: Experiment, calls: Calls) -> None:
    calls.call("A", "user:1", cost_usd=Decimal("0.004"))
    for _ in range(3):
        calls.call("A", "user:1", is_cache_hit=True, cost_usd=Decimal(0), ttft_ms=1, duration_ms=1)
    calls.save()

    found = figures_of(experiment)["A"]

    assert (found.requests, found.cache_hits, found.cache_share) == (1, 3, 0.75)
    assert values(experiment)["cost"] == 0.004
    assert values(experiment)["ttft"] == 0.2


def test_every_figure_is_a_ratio_over_all_requests_of_the_arm(
    experiment: Experiment, calls: Calls
) -> None:
    first = calls.call("A", "user:1", cost_usd=Decimal("0.001"), input_tokens=10)
    second = calls.call("A", "user:1", cost_usd=Decimal("0.003"), input_tokens=30)
    calls.call("A", "user:2", outcome="stopped", duration_ms=50, input_tokens=20)
    calls.call("A", "user:3", outcome="failed", ttft_ms=None, cost_usd=Decimal(0))
    calls.say(first, "thumb", 1)
    calls.say(second, "thumb", -1)
    calls.say(second, "regenerated", 1)
    calls.say(second, "check", 1)
    calls.save()

    found = values(experiment)

    assert (found["errors"], found["stops"], found["regenerations"]) == (0.25, 0.25, 0.25)
    assert (found["thumbs"], found["checks"]) == (0.5, 1)
    assert (found["input_tokens"], found["duration"]) == (20, 1.0)
    assert found["cost"] == round(0.005 / 3, 6)


def test_answers_without_a_price_are_not_cheap_but_left_out(
    experiment: Experiment, calls: Calls
) -> None:
    calls.call("A", "user:1", cost_usd=Decimal("0.004"))
    calls.call("A", "user:2", cost_usd=None)
    calls.save()

    assert figures_of(experiment)["A"].unpriced == 1
    assert values(experiment)["cost"] == 0.004


def test_only_the_experiments_own_calls_count(
    experiment: Experiment, calls: Calls, prompt: Prompt
) -> None:
    calls.call("A", "user:1")
    calls.call("A", "user:2", experiment="another")
    calls.call("A", "user:3", prompt_name="another")
    calls.call("A", "user:4", state="started", outcome="", cost_usd=None)
    calls.records[1].started_at = calls.records[0].started_at
    stranger = Organization.objects.create(name="Other", slug="other")
    calls.call("A", "user:5")
    calls.records[-1].organization = stranger
    calls.save()

    assert figures_of(experiment)["A"].units == 1


def test_sums_are_of_units_not_of_requests(experiment: Experiment, calls: Calls) -> None:
    for _ in range(3):
        calls.call("A", "user:1", cost_usd=Decimal(1))
    calls.call("A", "user:2", cost_usd=Decimal(5))
    calls.save()

    sums = figures_of(experiment)["A"].sums[Metric.COST]

    assert (sums.units, sums.y, sums.yy) == (2, 8, 9 + 25)
    assert (sums.x, sums.xx, sums.xy) == (4, 9 + 1, 9 + 5)


def test_without_any_call_there_is_not_enough_data(experiment: Experiment) -> None:
    report = report_of(experiment)

    assert report.is_empty
    assert "Not enough data yet" in report.text
    assert report.arms[0].values["cost"] is None


def test_a_known_effect_is_told_in_plain_words(experiment: Experiment, calls: Calls) -> None:
    spread(calls)

    report = report_of(experiment)

    cost = next(one for one in report.comparisons if one.metric == "cost")
    assert cost.is_certain
    assert cost.relative is not None
    assert cost.relative.low < -0.2 < cost.relative.high
    assert "B costs" in report.text
    assert "less" in report.text
    assert "No sign that" in report.text
    assert report.is_trusted
    assert [arm.outcome for arm in report.arms] == ["", "better"]


def test_figures_stay_as_they_were_at_the_stop(experiment: Experiment, calls: Calls) -> None:
    spread(calls, 40)
    before = report_of(experiment)

    services.stop(experiment=experiment, reason="Enough.")
    UsageRecord.objects.all().delete()

    after = report_of(Experiment.objects.get())
    assert _without_time(after) == _without_time(before)
    assert not after.is_empty


def _without_time(report: Report) -> tuple[Any, ...]:
    return report.arms, report.comparisons, report.sentences, report.split_p_value


def test_units_that_are_missing_raise_an_alarm(experiment: Experiment, calls: Calls) -> None:
    calls.expose("A", 600)
    calls.expose("B", 600)
    for number in range(600):
        calls.call("A", f"user:A{number}")
        if number % 2:  # the other calls of B fail before they are recorded
            calls.call("B", f"user:B{number}")
    calls.save()

    report = report_of(experiment)

    assert not report.is_trusted
    assert "Do not trust these figures" in report.sentences[0]
    assert report.split_p_value is not None
    assert report.split_p_value < 0.001


def test_changed_weights_are_no_alarm(experiment: Experiment, calls: Calls) -> None:
    calls.expose("A", 300)
    calls.expose("B", 30, {"A": 0.1, "B": 0.9})
    for number in range(300):
        calls.call("A", f"user:A{number}")
    for number in range(30):
        calls.call("B", f"user:B{number}")
    calls.save()

    split = split_of(experiment)

    assert split is not None
    assert split.units == (300, 30)
    assert split.expected == (150 + 3, 150 + 27)


@pytest.fixture
def harmed(prompt: Prompt) -> Callable[..., Experiment]:
    def make(harm: float, limit: float = 0.1, metric: str = "errors") -> Experiment:
        experiment = started(
            prompt, guardrail_metric=metric, guardrail_limit=limit, primary_metric="cost"
        )
        spread(Calls(begun_earlier(experiment, hours=1)), 120, harm=harm)
        return experiment

    return make


def test_a_certain_harm_stops_the_experiment_and_says_why(harmed: Any) -> None:
    experiment = harmed(0.3)

    assert watch() == 1

    experiment.refresh_from_db()
    assert experiment.state == "stopped"
    assert experiment.stop_reason.startswith("Stopped by the guardrail: B fails")
    assert "Allowed was up to 10% worse." in experiment.stop_reason
    assert experiment.results is not None
    assert watch() == 0


@pytest.mark.parametrize(
    ("harm", "limit", "metric"),
    [(0.02, 0.0, "errors"), (0.3, 1000.0, "errors"), (0.3, 0.1, "cost"), (0.3, 0.1, "thumbs")],
)
def test_no_certain_harm_beyond_the_limit_stops_nothing(
    harmed: Any, harm: float, limit: float, metric: str
) -> None:
    experiment = harmed(harm, 0.0, metric)
    Experiment.objects.filter(pk=experiment.pk).update(guardrail_limit=limit)

    assert watch() == 0

    experiment.refresh_from_db()
    assert experiment.state == "running"
    kept = last_report(experiment)
    assert kept is not None
    assert not kept.is_empty


def test_harm_where_control_has_none_at_all_stops_too(experiment: Experiment, calls: Calls) -> None:
    for number in range(200):
        calls.call("A", f"user:A{number}")
        calls.call("B", f"user:B{number}", outcome="failed" if number % 3 else "success")
    calls.save()

    assert watch() == 1


def test_an_experiment_without_a_guardrail_runs_on(prompt: Prompt) -> None:
    experiment = begun_earlier(started(prompt), hours=1)
    spread(Calls(experiment), 60, harm=0.9)

    assert watch() == 0
