"""The outbox: an alert and its deliveries are written together, or not at all."""

from collections.abc import Iterable

from django.db import transaction

from billing.models import Alert, AlertChannel, AlertDelivery


def new_ones(alerts: Iterable[Alert]) -> list[Alert]:
    """Return those of the alerts that nobody has recorded yet; of one key, the first."""
    by_key: dict[str, Alert] = {}
    for alert in alerts:
        by_key.setdefault(alert.key, alert)
    known = set(Alert.objects.filter(key__in=by_key).values_list("key", flat=True))
    return [alert for key, alert in by_key.items() if key not in known]


@transaction.atomic
def record(alert: Alert, channels: Iterable[AlertChannel]) -> bool:
    """Write the alert with a delivery for each channel; return whether it is the first of its key.

    Of several workers one writes: the others wait for it here, and find that nothing is to be done.
    """
    Alert.objects.bulk_create([alert], ignore_conflicts=True)
    if not Alert.objects.filter(pk=alert.pk).exists():
        return False
    AlertDelivery.objects.bulk_create(
        AlertDelivery(
            alert=alert,
            channel=channel,
            queued_at=alert.created_at,
            next_try_at=alert.created_at,
        )
        for channel in channels
    )
    return True
