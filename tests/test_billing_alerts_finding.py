"""Which alerts there are: each once, by budget, period and threshold."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections
from pytest_django import DjangoAssertNumQueries

from billing.alerts.finding import find
from billing.alerts.forecast import forecast_usd
from billing.models import Alert, AlertChannel, AlertDelivery, AlertKind, AlertRule, BudgetPeriod
from tests.alerts_support import SetClock, add_rule, email, make_budget, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def thresholds() -> list[int]:
    found = Alert.objects.filter(kind=AlertKind.THRESHOLD)
    return sorted(alert.facts["threshold_percent"] for alert in found)


def test_each_threshold_alerts_when_it_is_reached_and_only_once(clock: SetClock) -> None:
    budget = make_budget("100")
    add_rule(budget, email())

    said = []
    for amount in ("49.999999999999", "50", "79", "80.5", "80.6", "120"):
        spend(budget, amount)
        said.append((find(clock), find(clock)))

    assert said == [(0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0)]
    assert thresholds() == [50, 80, 100]


def test_an_alert_says_what_happened_in_words_and_facts(clock: SetClock) -> None:
    budget = make_budget("100", time_zone="Europe/Berlin")
    add_rule(budget, email(), thresholds=(80,))
    spend(budget, "83.11")

    find(clock)

    alert = Alert.objects.get()
    assert alert.title == "Monthly: 80% of the limit is spent"
    assert alert.text == (
        "$83.11 of $100.00 (83%) is spent by Acme on “Monthly” in the month from 2026-11-01, "
        "which ends when 2026-12-01 begins (Europe/Berlin). "
        "The budget is hard: calls that do not fit into the rest are refused."
    )
    assert alert.facts["spent_usd"] == "83.11"
    assert alert.facts["limit_usd"] == "100"
    assert alert.facts["threshold_percent"] == 80
    assert alert.organization == budget.organization


def test_each_period_alerts_anew(clock: SetClock) -> None:
    budget = make_budget("10", period="day")
    add_rule(budget, email(), thresholds=(100,))

    for _ in range(3):
        spend(budget, "11", clock.now)
        find(clock)
        clock.move(days=1)

    assert thresholds() == [100, 100, 100]


def test_what_is_held_does_not_count(clock: SetClock) -> None:
    budget = make_budget("100")
    add_rule(budget, email())
    spend(budget, "10")
    BudgetPeriod.objects.update(held_usd=Decimal(85), peak_usd=Decimal(95))

    assert find(clock) == 0


@pytest.mark.parametrize("is_hard", [True, False])
def test_hard_and_soft_budgets_alert(clock: SetClock, is_hard: bool) -> None:
    budget = make_budget("100", is_hard=is_hard)
    add_rule(budget, email(), thresholds=(100,))
    spend(budget, "150")

    find(clock)

    assert ("refuses nothing" in Alert.objects.get().text) is not is_hard


def test_a_limit_of_nothing_is_reached_by_the_first_cent(clock: SetClock) -> None:
    budget = make_budget("0", is_hard=False)
    add_rule(budget, email(), thresholds=(100,))
    spend(budget, "0")
    assert find(clock) == 0

    spend(budget, "0.01")

    assert find(clock) == 1
    assert Alert.objects.get().facts["spent_percent"] is None


def test_what_ended_in_a_period_that_is_over_still_alerts(clock: SetClock) -> None:
    budget = make_budget("10", period="day")
    add_rule(budget, email(), thresholds=(100,))
    spend(budget, "11", clock.now)

    clock.move(hours=30)
    assert find(clock) == 1

    spend(budget, "11", clock.now - timedelta(days=20))
    assert find(clock) == 0


def test_a_new_rule_says_nothing_of_a_period_that_was_over(clock: SetClock) -> None:
    budget = make_budget("10", period="day")
    rule = add_rule(budget, email(), thresholds=(100,))
    spend(budget, "11", clock.now)

    clock.move(hours=30)
    AlertRule.objects.filter(pk=rule.pk).update(changed_at=clock.now)

    assert find(clock) == 0


def test_rules_budgets_and_channels_that_are_switched_off_are_left_alone(clock: SetClock) -> None:
    off = email(name="Off", is_active=False)
    on = email(name="On")
    quiet = make_budget("1", is_active=False)
    add_rule(quiet, on, thresholds=(100,))
    spend(quiet, "2")
    silent = make_budget("1")
    AlertRule.objects.filter(pk=add_rule(silent, on).pk).update(is_active=False)
    spend(silent, "2")
    budget = make_budget("1")
    add_rule(budget, on, off, thresholds=(100,))
    spend(budget, "2")

    find(clock)

    assert [one.channel for one in AlertDelivery.objects.all()] == [on]


def test_rules_of_one_budget_share_an_alert_and_each_channel_gets_it_once(clock: SetClock) -> None:
    team, boss = email(name="Team"), email(name="Boss")
    budget = make_budget("100")
    add_rule(budget, team, thresholds=(50, 100))
    add_rule(budget, team, boss, thresholds=(100,))
    spend(budget, "100")

    find(clock)

    told = sorted(
        (one.alert.facts["threshold_percent"], one.channel.name)
        for one in AlertDelivery.objects.select_related("alert", "channel")
    )
    assert told == [(50, "Team"), (100, "Boss"), (100, "Team")]


# --- The forecast ---------------------------------------------------------------------------------


def at_share(share: str) -> Decimal | None:
    """Return the forecast of a period of 10,000 seconds in which 5 dollars are spent."""
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    return forecast_usd(
        Decimal(5),
        starts_at=begin,
        ends_at=begin + timedelta(seconds=10_000),
        now=begin + timedelta(seconds=int(10_000 * Decimal(share))),
    )


def test_a_forecast_is_what_was_spent_by_the_part_of_the_period_that_is_over() -> None:
    assert at_share("0.0999") is None
    assert at_share("0.1") == Decimal(50)
    assert at_share("0.5") == Decimal(10)
    assert at_share("0.3") == Decimal("16.666666666667")
    assert at_share("1.5") == Decimal(5)


def test_a_forecast_above_the_limit_alerts_once(clock: SetClock) -> None:
    budget = make_budget("100")
    add_rule(budget, email(), thresholds=(), on_forecast=True)
    spend(budget, "50")
    assert find(clock) == 0

    spend(budget, "51")
    assert (find(clock), find(clock)) == (1, 0)
    clock.move(days=3)
    spend(budget, "90", clock.now)
    assert find(clock) == 0

    alert = Alert.objects.get()
    assert alert.title == "Monthly: at this pace, 102% of the limit by the end"
    assert alert.facts["forecast_usd"] == "102"


def test_there_is_no_forecast_in_the_first_tenth_nor_of_a_total() -> None:
    early = SetClock(datetime(2026, 11, 3, tzinfo=UTC))
    month, total = make_budget("100"), make_budget("100", period="total")
    for budget in (month, total):
        add_rule(budget, email(name=budget.period), thresholds=(), on_forecast=True)
        spend(budget, "99", early.now)

    assert find(early) == 0
    early.move(days=2)
    assert find(early) == 1
    assert Alert.objects.get().budget == month


def test_a_limit_that_is_reached_is_not_forecast_beside_its_threshold(clock: SetClock) -> None:
    both, only = make_budget("100"), make_budget("100")
    add_rule(both, email(name="a"), thresholds=(100,), on_forecast=True)
    add_rule(only, email(name="b"), thresholds=(), on_forecast=True)
    spend(both, "100")
    spend(only, "100")

    find(clock)

    kinds = {alert.budget: alert.kind for alert in Alert.objects.all()}
    assert kinds == {both: AlertKind.THRESHOLD, only: AlertKind.FORECAST}


# --- Several workers ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_make_one_alert_and_one_delivery_a_channel() -> None:
    budgets = [make_budget("100") for _ in range(5)]
    told = [email(name="a"), email(name="b")]
    for budget in budgets:
        add_rule(budget, *told)
        spend(budget, "100")
    counts: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            counts.append(find(SetClock()))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(counts) == len(budgets) * 3
    assert len(counts) == len(workers)
    assert Alert.objects.count() == len(budgets) * 3
    for channel in AlertChannel.objects.all():
        assert channel.deliveries.count() == len(budgets) * 3


def test_looking_takes_as_many_questions_for_many_budgets_as_for_one(
    clock: SetClock, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        budget = make_budget("100")
        add_rule(budget, email(name=str(number)))
        spend(budget, "60")
    find(clock)

    with django_assert_num_queries(3):
        assert find(clock) == 0
