"""What keys have cost this month."""

from collections.abc import Iterable
from decimal import Decimal

from django.db.models import Sum
from django.utils import timezone

from accounts.models import ApiKey
from billing.reports.dimensions import rows_of
from billing.reports.spans import Span


def spent_this_month(keys: Iterable[ApiKey]) -> dict[int, Decimal]:
    """Return by key what its calls have cost, for those that have cost anything."""
    today = timezone.localdate()
    rows = rows_of(Span(today.replace(day=1), today), {})
    mine = rows.filter(
        organization_id__in={key.organization_id for key in keys},
        api_key_id__in=[key.pk for key in keys],
    )
    sums = mine.order_by().values("api_key_id").annotate(spent=Sum("cost_usd"))
    return {key_id: spent for key_id, spent in sums.values_list("api_key_id", "spent") if key_id}
