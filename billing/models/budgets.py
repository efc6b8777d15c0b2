"""Limits on spending, and what was spent of them."""

from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from accounts.models import ApiKey, Organization, User
from accounts.principal import Principal
from billing.money import UsdField
from billing.periods import PeriodKind, validate_time_zone
from billing.tags import LONGEST_TAG, validate_tag

# What decides which calls a budget counts. It does not change: other calls would have been counted.
DIMENSIONS = ("organization", "user", "api_key", "prompt_name", "model", "tag")
CALENDAR = ("period", "time_zone")


FIXED = "This cannot be changed later, or what was counted would be wrong: add another budget."


class BudgetQuerySet(models.QuerySet["Budget"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return those that calls of a person, or of a key of theirs, may count on.

        For a key of nobody these are its own, and those of its whole organization.
        """
        if principal.user_id is None:
            keys = Q(api_key=None) | Q(api_key=principal.api_key_id)
        else:
            keys = Q(api_key=None) | Q(api_key__user=principal.user_id)
        people = Q(user=None) | Q(user=principal.user_id)
        return self.filter(keys, people, organization=principal.organization_id)


class Budget(models.Model):
    """A limit on what an organization spends, or on the part of it that all it names have made."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="budgets")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="budgets")
    api_key = models.ForeignKey(
        ApiKey,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="budgets",
        verbose_name="API key",
    )
    prompt_name = models.CharField(
        "prompt",
        max_length=100,
        blank=True,
        default="",
        help_text="The prompt's name, as calls ask for it; empty: every call.",
    )
    model = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The name that calls ask for, such as a route's; empty: every call.",
    )
    tag = models.CharField(
        max_length=LONGEST_TAG,
        blank=True,
        default="",
        validators=[validate_tag],
        help_text="One of the tags that programs send in X-Parley-Tags; empty: every call.",
    )
    name = models.CharField(max_length=200)
    limit_usd = UsdField("limit, USD")
    period = models.CharField(max_length=10, choices=PeriodKind, default=PeriodKind.MONTH)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text="Where the calendar's days begin, such as Europe/Berlin.",
    )
    is_hard = models.BooleanField(
        "hard", default=True, help_text="A hard budget refuses; a soft one counts and warns."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="An inactive budget only counts: it refuses nothing."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BudgetQuerySet.as_manager()

    class Meta:
        ordering = ["organization", "name"]
        constraints = [
            models.CheckConstraint(condition=Q(limit_usd__gte=0), name="budget_limit_not_negative")
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a budget for a person or a key of another organization: it would never count.

        What an older one counts, and its calendar, are fixed.
        """
        stored = Budget.objects.filter(pk=self.pk).first() if self.pk else None
        fixed = [
            name for name in (*DIMENSIONS, *CALENDAR) if stored and self._differs(stored, name)
        ]
        if fixed:
            raise ValidationError(dict.fromkeys(fixed, FIXED))
        if self.organization_id is None:
            return  # said of the field itself
        if self.user and not self.user.memberships.filter(organization=self.organization_id):
            raise ValidationError({"user": "This person is not a member of the organization."})
        if self.api_key and self.api_key.organization_id != self.organization_id:
            raise ValidationError({"api_key": "This key belongs to another organization."})

    def _differs(self, stored: "Budget", name: str) -> bool:
        return bool(getattr(self, name) != getattr(stored, name))


class BudgetPeriodQuerySet(models.QuerySet["BudgetPeriod"]):
    def current(self) -> Self:
        now = timezone.now()
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=now), starts_at__lte=now)


class BudgetPeriod(models.Model):
    """What was spent and is held on a budget between two moments; without a row it is nothing."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="periods")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)  # None: a total has no end
    # Spent in the period before the budget existed; it is part of `spent_usd`.
    opening_usd = UsdField(default=0)
    spent_usd = UsdField(default=0)
    held_usd = UsdField(default=0)
    # What calls cost more than was held for them, and what corrections posted beyond a hard limit:
    # the sum of the overruns' rows. It is part of `spent_usd`.
    overrun_usd = UsdField(default=0)
    # The most that was ever spent and held together, without overruns: what was admitted. A hard
    # budget admits nothing above the limit of that moment.
    peak_usd = UsdField(default=0)

    objects = BudgetPeriodQuerySet.as_manager()

    class Meta:
        ordering = ["budget", "-starts_at"]
        constraints = [
            models.UniqueConstraint(fields=["budget", "starts_at"], name="budget_period_once"),
            models.CheckConstraint(
                condition=Q(spent_usd__gte=0) & Q(held_usd__gte=0),
                name="budget_period_not_negative",
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(
                    F("spent_usd") + F("held_usd"), F("peak_usd") + F("overrun_usd")
                ),
                name="budget_period_admitted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget} from {self.starts_at:%Y-%m-%d}"


class Overrun(models.Model):
    """What is spent on one budget's period beyond what was admitted, booked in full, and why.

    Either a call that cost more than was held for it, or a correction that two people have posted
    beyond a hard limit: then `held_usd` is the part of it that had room.
    Written in the transaction that books it. Ids grow, so that a reader who remembers the
    last one it has seen finds the new ones, but for those of transactions that are not over.
    """

    usage_id = models.UUIDField(null=True)
    correction = models.ForeignKey(
        "billing.Correction", models.PROTECT, null=True, related_name="overruns"
    )
    period = models.ForeignKey(BudgetPeriod, models.CASCADE, related_name="overruns")
    held_usd = UsdField()
    cost_usd = UsdField()
    over_usd = UsdField()  # the difference
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["usage_id", "period"], name="overrun_once"),
            models.UniqueConstraint(
                fields=["correction", "period"], name="overrun_of_correction_once"
            ),
            models.CheckConstraint(
                condition=Q(usage_id=None) ^ Q(correction=None), name="overrun_has_one_cause"
            ),
            models.CheckConstraint(
                condition=Q(over_usd__gt=0) & Q(over_usd=F("cost_usd") - F("held_usd")),
                name="overrun_is_the_difference",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.correction or self.usage_id} on {self.period}"
