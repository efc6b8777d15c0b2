"""What a batch has cost, from the usage records of its calls."""

from decimal import Decimal

from django.db.models import Count, Q, Sum

from billing.models import UsageRecord
from gateway.batches.asking import SURFACE


def in_words(run: str, organization_id: int) -> str:
    """Return the cost of the calls whose request id begins with `run`: "$0.0123"."""
    # The surface as well: programs choose the ids of their own requests.
    found = UsageRecord.objects.filter(
        request_id__startswith=run, surface=SURFACE, organization_id=organization_id
    ).aggregate(usd=Sum("cost_usd"), unpriced=Count("pk", filter=Q(cost_usd=None, state="settled")))
    text = f"${(found['usd'] or Decimal(0)).quantize(Decimal('0.000001')).normalize():f}"
    return f"{text} ({found['unpriced']} calls without a price)" if found["unpriced"] else text
