"""Corrections of what calls cost: proposed by one person, posted by another, never edited."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Organization, User
from accounts.principal import Principal
from billing.money import UsdField


class SignedUsdField(UsdField):
    """`numeric(20,12)` US dollars of either sign."""

    default_validators = []


class CorrectionKind(models.TextChoices):
    MANUAL = "manual", "By hand"
    RERATE = "rerate", "Other prices"


class CorrectionState(models.TextChoices):
    PROPOSED = "proposed", "Waits for a second person"
    POSTED = "posted", "Posted"
    DECLINED = "declined", "Declined"


class Correction(models.Model):
    """One decision about money: why, who proposed it, and who decided; its rows are adjustments.

    The database keeps that who posts is not who proposed, and that what was decided stays.
    """

    kind = models.CharField(
        max_length=10, choices=CorrectionKind, default=CorrectionKind.MANUAL, editable=False
    )
    reason = models.CharField(max_length=500, help_text="Why; people read it in a year.")
    state = models.CharField(
        max_length=10, choices=CorrectionState, default=CorrectionState.PROPOSED, editable=False
    )
    proposed_by = models.ForeignKey(
        User, models.PROTECT, related_name="proposed_corrections", editable=False
    )
    proposed_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="decided_corrections", editable=False
    )
    decided_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-proposed_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=CorrectionState.POSTED)
                | (Q(decided_by__isnull=False) & ~Q(decided_by=F("proposed_by"))),
                name="correction_second_person",
            ),
            models.CheckConstraint(
                condition=Q(
                    state=CorrectionState.PROPOSED, decided_by__isnull=True, decided_at__isnull=True
                )
                | (
                    ~Q(state=CorrectionState.PROPOSED)
                    & Q(decided_by__isnull=False, decided_at__isnull=False)
                ),
                name="correction_decided_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.reason}"


class AdjustmentQuerySet(models.QuerySet["Adjustment"]):
    def posted(self) -> Self:
        """Return those that the books have."""
        return self.filter(correction__state=CorrectionState.POSTED)

    def visible_to(self, principal: Principal) -> Self:
        """Return what was adjusted of a person's own calls; of a key of nobody, the key's."""
        own = self.filter(organization_id=principal.organization_id)
        if principal.user_id is None:
            return own.filter(api_key_id=principal.api_key_id)
        return own.filter(user_id=principal.user_id)


class Adjustment(models.Model):
    """An amount that is added to what was spent on a day, or taken from it when it is negative.

    It counts on every budget that would count a call of the same organization, user, key, prompt,
    model and tags; names are plain values, as those of a usage record are.
    """

    correction = models.ForeignKey(Correction, models.CASCADE, related_name="adjustments")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="adjustments")
    day = models.DateField(help_text="The day it belongs to, in each budget's own calendar.")
    # The moment it belongs to, where it is known: then the day is that of UTC, and only shown.
    at = models.DateTimeField(null=True)
    amount_usd = SignedUsdField("amount, USD", help_text="Negative: less was spent.")
    user_id = models.BigIntegerField(null=True)
    user_name = models.CharField(max_length=150, blank=True)
    api_key_id = models.BigIntegerField(null=True)
    api_key_prefix = models.CharField(max_length=16, blank=True)
    prompt_name = models.CharField(max_length=100, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    model_asked = models.CharField(max_length=200, blank=True)
    model_served = models.CharField(max_length=200, blank=True)
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    # How many attempts it is about; None: not of single attempts.
    attempts = models.IntegerField(null=True)
    # Written when it is posted: the periods whose spent amount it is part of.
    budget_period_ids = ArrayField(models.BigIntegerField(), default=list)

    objects = AdjustmentQuerySet.as_manager()

    class Meta:
        ordering = ["day", "pk"]
        indexes = [models.Index(fields=["organization", "day"], name="adjustment_by_day")]
        constraints = [
            models.CheckConstraint(condition=~Q(amount_usd=0), name="adjustment_is_something")
        ]

    def __str__(self) -> str:
        return f"{self.amount_usd:f} USD of {self.day}"
