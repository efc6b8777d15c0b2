"""Calls whose process died: their leases run out, and the books are closed for them."""

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing import ledger_writer
from billing.entries import Settle, Settlement
from billing.models import Outcome, UsageRecord, UsageState
from billing.price_json import price_from_json
from billing.pricing import TokenUsage, cost_usd

MOST_AT_ONCE = 500


def sweep() -> int:
    """Settle records whose lease has run out, and return how many there were.

    They are charged for their input and for what had come when they last gave a sign, as an
    estimate and by the service tier that was asked for; the outcome is `interrupted`. A call that
    gives a sign in between is left alone.
    """
    if _database_has_just_started():
        return 0
    lapsed = UsageRecord.objects.filter(
        state=UsageState.STARTED, lease_expires_at__lt=timezone.now()
    ).order_by("lease_expires_at")
    count = 0
    while entries := [Settle(_settlement(record)) for record in lapsed[:MOST_AT_ONCE]]:
        for result in ledger_writer.write(entries):
            if isinstance(result, Exception):
                raise result
        count += len(entries)
    return count


def _database_has_just_started() -> bool:
    """Return whether processes have had no time yet to settle what an outage kept them from."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_postmaster_start_time() > %s",
            [timezone.now() - timedelta(seconds=settings.LEASE_SECONDS / 2)],
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def _settlement(record: UsageRecord) -> Settlement:
    usage = TokenUsage(input_tokens=record.input_tokens, output_tokens=record.output_tokens)
    price = price_from_json(record.price)
    return Settlement(
        usage_id=record.pk,
        outcome=Outcome.INTERRUPTED,
        error_class="ProcessDied",
        usage=usage,
        is_estimated=True,
        cost_usd=None if price is None else cost_usd(price, usage, record.service_tier),
        ttft_ms=None,
        duration_ms=None,
        model_served=record.model_served,
        service_tier=record.service_tier,
        is_swept=True,
    )
