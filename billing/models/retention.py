"""What stays of months whose usage records were exported and dropped."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Organization
from billing.money import UsdField


class DroppedMonth(models.Model):
    """A month whose usage records are in a file, and no longer here."""

    month = models.DateField(unique=True)  # its first day; UTC
    records = models.BigIntegerField()
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    dropped_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-month"]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class DroppedUsage(models.Model):
    """What was spent in a dropped month by all that budgets tell apart.

    So a total that is added later counts it as well.
    """

    month = models.ForeignKey(DroppedMonth, models.CASCADE, related_name="usage")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="dropped_usage")
    user_id = models.BigIntegerField(null=True)
    api_key_id = models.BigIntegerField(null=True)
    prompt_name = models.CharField(max_length=100, blank=True)
    model_asked = models.CharField(max_length=200)
    provider = models.CharField(max_length=100)
    model_served = models.CharField(max_length=200)
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    attempts = models.BigIntegerField()
    cost_usd = UsdField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.month}: {self.model_served}"


class DroppedSpending(models.Model):
    """What a period owes to records that were dropped, so that its amounts can still be checked."""

    month = models.ForeignKey(DroppedMonth, models.CASCADE, related_name="spending")
    # Not a foreign key, as in a usage record: the period may be gone.
    period_id = models.BigIntegerField(db_index=True)
    spent_usd = UsdField(default=0)  # by records that name the period
    overrun_usd = UsdField(default=0)  # of them
    opening_usd = UsdField(default=0)  # by records that are older than the period

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["month", "period_id"], name="dropped_spending_once")
        ]

    def __str__(self) -> str:
        return f"{self.month}: period {self.period_id}"
