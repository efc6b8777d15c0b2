"""Usage records as calls leave them, written directly."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import Organization
from billing.models import Outcome, UsageRecord, UsageState


def record(organization: Organization, **fields: Any) -> UsageRecord:
    """Return a settled attempt that is not saved yet."""
    now: datetime = fields.pop("started_at", None) or timezone.now()
    values: dict[str, Any] = {
        "request_id": "request",
        "surface": "test",
        "provider": "acme",
        "model_asked": "default",
        "model_served": "model-1",
        "state": UsageState.SETTLED,
        "outcome": Outcome.SUCCESS,
        "input_tokens": 100,
        "output_tokens": 50,
        "cost_usd": Decimal("0.001"),
        "started_at": now,
        "settled_at": now,
        "lease_expires_at": now,
        "ttft_ms": 200,
        "duration_ms": 1000,
    }
    return UsageRecord(organization=organization, **{**values, **fields})


def used(organization: Organization, **fields: Any) -> UsageRecord:
    """Return a settled attempt."""
    made = record(organization, **fields)
    made.save()
    return made
