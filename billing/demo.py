"""The demo organization's budget."""

from decimal import Decimal

from accounts.models import Organization
from billing.models import Budget
from billing.periods import PeriodKind


def seed(organization: Organization) -> None:
    """Make a monthly budget unless there is one."""
    Budget.objects.get_or_create(
        organization=organization,
        name="Demo monthly",
        defaults={"limit_usd": Decimal(5), "period": PeriodKind.MONTH},
    )
