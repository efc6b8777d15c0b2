"""What the calls of a run have cost, from their usage records."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Case, Count, F, Q, Sum, When

from billing.models import UsageRecord, UsageState
from core.database import translate_outage

SURFACE = "tests"


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls have cost together; what still runs counts with all that is held for it."""

    usd: Decimal
    unpriced: int  # calls whose model has no price
    running: int

    @property
    def known_usd(self) -> Decimal | None:
        """Return the cost; `None` where a part of it is not known."""
        return None if self.unpriced else self.usd


def of(request_ids: Sequence[str], organization_id: int) -> Spent:
    """Return what the calls with these request ids have cost."""
    with translate_outage():
        # The surface as well: programs choose the ids of their own requests.
        records = UsageRecord.objects.filter(
            request_id__in=request_ids, surface=SURFACE, organization_id=organization_id
        )
        counted = Case(When(state=UsageState.STARTED, then=F("hold_usd")), default=F("cost_usd"))
        found = records.aggregate(
            usd=Sum(counted),
            unpriced=Count("pk", filter=Q(state=UsageState.SETTLED, cost_usd=None)),
            running=Count("pk", filter=Q(state=UsageState.STARTED)),
        )
    return Spent(found["usd"] or Decimal(0), found["unpriced"], found["running"])
