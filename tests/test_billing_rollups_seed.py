"""Made-up usage, to try reports with: as much as asked for, summed up, never in production."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.test import override_settings
from django.utils import timezone

from billing.models import UsageDay, UsageRecord
from billing.reports import differences

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_makes_records_of_past_days_and_sums_them_up() -> None:
    said = StringIO()
    call_command("seed_usage", rows=300, days=40, stdout=said)

    assert "300 records" in said.getvalue()
    assert UsageRecord.objects.count() == 300
    assert UsageDay.objects.aggregate(all=Sum("attempts"))["all"] == 300
    oldest = UsageRecord.objects.order_by("started_at")[0].started_at
    assert timezone.now() - timedelta(days=42) < oldest < timezone.now() - timedelta(days=38)
    assert differences() == []


def test_it_refuses_in_production() -> None:
    with override_settings(IS_PRODUCTION=True), pytest.raises(CommandError, match="production"):
        call_command("seed_usage", rows=1)

    assert not UsageRecord.objects.exists()
