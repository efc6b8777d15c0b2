"""The sums of the usage records: of every settled attempt, each once, whenever they are made."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from accounts.principal import Principal
from billing.entries import Attempt, Hit, Hold, Settle
from billing.models import (
    Outcome,
    RollupProgress,
    UsageDay,
    UsageHour,
    UsageModelDay,
    UsageRecord,
)
from billing.pricing import TokenUsage
from billing.reports import differences, rollups
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5")


def begin(tenant: Tenant, **changes: Any) -> Attempt:
    made = attempt(tenant, **changes)
    book(Hold(made))
    return made


def end(made: Attempt, cost_usd: str | None = "0.03", **changes: Any) -> None:
    book(Settle(settlement(made, cost_usd, **changes)))


def move(made: Attempt, to: datetime) -> None:
    UsageRecord.objects.filter(pk=made.id).update(started_at=to)


def roll_up() -> int:
    """Do it now, whatever the rest after the last time."""
    RollupProgress.objects.update(rest_until=None)
    return rollups.roll_up()


def attempts() -> int:
    return sum(UsageHour.objects.values_list("attempts", flat=True))


def test_alike_attempts_of_an_hour_are_one_row_with_all_their_sums(tenant: Tenant) -> None:
    usage = TokenUsage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    for number in (1, 2):
        made = begin(tenant, attempt=number)
        move(made, datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
        end(made, "0.000000000001", usage=usage, ttft_ms=15, duration_ms=700)

    roll_up()

    row = UsageHour.objects.get()
    assert (row.attempts, row.requests, row.unpriced) == (2, 1, 0)
    assert row.cost_usd == Decimal("0.000000000002")
    assert (row.input_tokens, row.cached_input_tokens, row.cache_write_tokens) == (2, 4, 6)
    assert (row.output_tokens, row.reasoning_tokens) == (8, 10)
    assert (row.audio_input_tokens, row.audio_output_tokens) == (12, 14)
    assert (row.cache_write_1h_tokens, row.image_input_tokens) == (16, 18)
    assert row.image_output_tokens == 20
    assert (sum(row.ttft_ms), sum(row.duration_ms)) == (2, 2)
    assert row.starts_at.minute == 0
    day = UsageDay.objects.get()
    assert (day.attempts, day.cost_usd, day.ttft_ms) == (2, row.cost_usd, row.ttft_ms)


def test_each_dimension_keeps_attempts_apart(tenant: Tenant) -> None:
    alice = Principal(tenant.organization.pk, user_id=7, user_name="alice")
    key = Principal(tenant.organization.pk, api_key_id=8, api_key_prefix="pk-8")
    end(begin(tenant))
    end(begin(tenant, principal=alice))
    end(begin(tenant, principal=key))
    end(begin(tenant, prompt_name="triage", prompt_version=1))
    end(begin(tenant, prompt_name="triage", prompt_version=2))
    end(begin(tenant, surface="chat"))
    end(begin(tenant, tags=("a", "b")))
    end(begin(tenant, tags=("b", "a")))  # the same
    end(begin(tenant), service_tier="flex")
    end(begin(tenant), outcome=Outcome.FAILED, error_class="RateLimited")
    end(begin(tenant), model_served="model-2")

    roll_up()

    assert UsageDay.objects.count() == 10
    assert UsageDay.objects.get(tags=["a", "b"]).attempts == 2


def test_an_open_call_counts_in_the_hour_it_began_in_once_it_is_settled(tenant: Tenant) -> None:
    made = begin(tenant)
    hours_ago = (timezone.now() - timedelta(hours=7)).replace(minute=30)
    move(made, hours_ago)
    roll_up()
    assert attempts() == 0

    end(made)
    roll_up()

    assert UsageHour.objects.get().starts_at == hours_ago.replace(minute=0, second=0, microsecond=0)
    assert UsageDay.objects.get().attempts == 1


def test_an_unpriced_attempt_is_counted_as_such_and_not_as_free(tenant: Tenant) -> None:
    end(begin(tenant, price=None), None)

    roll_up()

    assert (UsageDay.objects.get().unpriced, UsageDay.objects.get().cost_usd) == (1, 0)


def test_what_a_cache_hit_saved_is_summed(tenant: Tenant) -> None:
    made = attempt(tenant, is_cache_hit=True)
    hit = settlement(made, "0", saved_usd=Decimal("0.25"))
    book(Hit(made, hit))

    roll_up()

    row = UsageDay.objects.get(is_cache_hit=True)
    assert (row.attempts, row.saved_usd) == (1, Decimal("0.25"))


def test_doing_it_again_changes_nothing(tenant: Tenant) -> None:
    end(begin(tenant))
    for _ in range(3):
        roll_up()

    assert attempts() == 1
    assert UsageDay.objects.get().attempts == 1


def test_what_is_written_late_is_found_within_the_overlap(tenant: Tenant) -> None:
    roll_up()
    made = begin(tenant)
    move(made, timezone.now() - timedelta(minutes=4))
    end(made)

    roll_up()

    assert attempts() == 1


def test_a_worker_that_was_away_for_weeks_catches_up(tenant: Tenant) -> None:
    roll_up()
    for days in (40, 3, 0):
        made = begin(tenant)
        move(made, timezone.now() - timedelta(days=days))
        end(made)
    RollupProgress.objects.update(covered_until=timezone.now() - timedelta(days=41))

    roll_up()

    assert attempts() == UsageDay.objects.count() == 3


def test_a_worker_that_is_at_it_is_not_waited_for(tenant: Tenant) -> None:
    end(begin(tenant))
    lock = "hashtextextended('billing.rollups', 0)"
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock({lock})")
        try:
            assert rollups.roll_up() == 0
            assert attempts() == 0
        finally:
            cursor.execute(f"SELECT pg_advisory_unlock({lock})")
    other.close()


def test_rebuilding_repairs_sums_and_keeps_those_of_records_that_are_gone(tenant: Tenant) -> None:
    for days in (90, 1, 0):
        made = begin(tenant)
        move(made, timezone.now() - timedelta(days=days))
        end(made)
    roll_up()
    RollupProgress.objects.update(covered_until=None)
    rollups.roll_up()
    UsageRecord.objects.filter(started_at__lt=timezone.now() - timedelta(days=80)).delete()
    UsageHour.objects.filter(starts_at__gt=timezone.now() - timedelta(days=2)).update(attempts=5)
    UsageDay.objects.filter(starts_at__gt=timezone.now() - timedelta(days=3)).delete()

    call_command("rebuild_rollups", verbosity=0)

    assert attempts() == 3
    assert sum(UsageDay.objects.values_list("attempts", flat=True)) == 3
    assert differences() == []


def test_days_follow_the_time_zone_when_it_changes(tenant: Tenant) -> None:
    made = begin(tenant)
    move(made, datetime(2026, 3, 4, 23, 30, tzinfo=UTC))
    end(made)
    roll_up()
    assert UsageDay.objects.get().starts_at == datetime(2026, 3, 4, tzinfo=UTC)

    with override_settings(TIME_ZONE="Europe/Berlin"):
        roll_up()

    assert UsageDay.objects.get().starts_at == datetime(2026, 3, 4, 23, tzinfo=UTC)


def test_differences_name_the_hours_and_days_that_are_wrong(tenant: Tenant) -> None:
    for days in (5, 3):
        made = begin(tenant)
        move(made, timezone.now() - timedelta(days=days))
        end(made)
    assert differences() == []
    first, second = UsageHour.objects.order_by("starts_at")

    UsageHour.objects.filter(pk=first.pk).update(cost_usd=Decimal("0.04"))
    UsageDay.objects.filter(starts_at__gt=first.starts_at).delete()

    found = "\n".join(differences())
    assert f"{first.starts_at:%Y-%m-%d %H:%M}" in found
    assert "0.04" in found
    assert f"{second.starts_at:%Y-%m-%d}" in found


def test_days_by_model_are_those_of_all_dimensions_together(tenant: Tenant) -> None:
    usage = TokenUsage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    for changes in ({"surface": "chat"}, {"surface": "api"}, {"model_served": "other"}):
        end(begin(tenant, **changes), usage=usage, duration_ms=700)
    end(begin(tenant), outcome=Outcome.FAILED, duration_ms=700)
    made = attempt(tenant, is_cache_hit=True)
    book(Hit(made, settlement(made, "0", saved_usd=Decimal(1))))

    roll_up()

    row = UsageModelDay.objects.get(model_served="model-1")
    assert (row.attempts, row.errors, row.cache_hits) == (4, 1, 1)
    assert row.image_output_tokens == 20
    assert sum(row.duration_ms) == 2  # answers by a model
    assert UsageModelDay.objects.get(model_served="other").attempts == 1
    assert differences() == []


def test_days_by_model_that_are_wrong_are_found(tenant: Tenant) -> None:
    made = begin(tenant)
    move(made, timezone.now() - timedelta(days=5))  # a day that nobody makes anew
    end(made)
    assert differences() == []

    UsageModelDay.objects.update(errors=5)

    (line,) = differences()
    assert line.startswith("Models of the day")


def test_differences_are_none_while_calls_are_running(tenant: Tenant) -> None:
    made = begin(tenant)
    assert differences() == []
    end(made)

    assert differences() == []
