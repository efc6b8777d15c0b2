"""What it costs: dated prices, budgets with their periods, and one record per attempt."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from accounts.models import ApiKey, Organization, User
from accounts.principal import Principal
from billing.money import UsdField
from billing.periods import PeriodKind, validate_time_zone
from billing.pricing import TokenUsage
from core.ids import new_id


class PriceQuerySet(models.QuerySet["Price"]):
    def in_force(self) -> Self:
        now = timezone.now()
        return self.filter(Q(valid_to=None) | Q(valid_to__gt=now), valid_from__lte=now).order_by(
            "provider", "model", "-valid_from"
        )


class Price(models.Model):
    """What a provider takes for a model's tokens, in US dollars per million, from a moment on.

    A price is never edited: a new one is added, and the one before ends where it begins.
    """

    provider = models.CharField(max_length=100, help_text="The provider's name in Parley.")
    model = models.CharField(max_length=200, help_text="The provider's name of the model.")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)
    input_usd = UsdField("input, USD per million tokens")
    cached_input_usd = UsdField("cached input, USD per million tokens", null=True, blank=True)
    cache_write_usd = UsdField("cache write, USD per million tokens", null=True, blank=True)
    output_usd = UsdField("output, USD per million tokens")
    source = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["provider", "model", "-valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "valid_from"], name="price_unique_from"
            ),
            models.UniqueConstraint(
                fields=["provider", "model"],
                condition=Q(valid_to=None),
                name="price_one_open_end",
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                name="price_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(input_usd__gte=0)
                & Q(output_usd__gte=0)
                & (Q(cached_input_usd=None) | Q(cached_input_usd__gte=0))
                & (Q(cache_write_usd=None) | Q(cache_write_usd__gte=0)),
                name="price_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model} from {self.valid_from:%Y-%m-%d}"


class Budget(models.Model):
    """A limit on spending: of an organization, or of a user's or a key's part in it."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="budgets")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="budgets")
    api_key = models.ForeignKey(
        ApiKey, models.CASCADE, null=True, blank=True, related_name="budgets"
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
        "hard", default=True, help_text="A hard budget refuses; a soft one only counts."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="An inactive budget neither refuses nor counts."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["organization", "name"]
        constraints = [
            models.CheckConstraint(condition=Q(limit_usd__gte=0), name="budget_limit_not_negative")
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a budget for a person or a key of another organization: it would never count."""
        if self.user and not self.user.memberships.filter(organization=self.organization_id):
            raise ValidationError({"user": "This person is not a member of the organization."})
        if self.api_key and self.api_key.organization_id != self.organization_id:
            raise ValidationError({"api_key": "This key belongs to another organization."})


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

    objects = BudgetPeriodQuerySet.as_manager()

    class Meta:
        ordering = ["budget", "-starts_at"]
        constraints = [
            models.UniqueConstraint(fields=["budget", "starts_at"], name="budget_period_once"),
            models.CheckConstraint(
                condition=Q(spent_usd__gte=0) & Q(held_usd__gte=0),
                name="budget_period_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget} from {self.starts_at:%Y-%m-%d}"


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return a person's own records; for a key that belongs to nobody, the key's."""
        own = self.filter(organization_id=principal.organization_id)
        if principal.user_id is None:
            return own.filter(api_key_id=principal.api_key_id)
        return own.filter(user_id=principal.user_id)


class UsageState(models.TextChoices):
    STARTED = "started", "Started"
    SETTLED = "settled", "Settled"


class Outcome(models.TextChoices):
    """How an attempt ended."""

    RUNNING = "", "Running"
    SUCCESS = "success", "Success"
    PARTIAL = "partial", "Partial (length)"
    FILTERED = "filtered", "Filtered"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    INTERRUPTED = "interrupted", "Interrupted"  # its process died; the sweeper settled it


COUNTS = (
    *("attempt", "prompt_version", "input_tokens", "cached_input_tokens", "cache_write_tokens"),
    *("output_tokens", "reasoning_tokens", "ttft_ms", "duration_ms"),
)


class UsageRecord(models.Model):
    """One attempt at a provider, or one answer from the cache: written before, settled after.

    Names, versions and prices are plain values: what staff change later changes no history.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    request_id = models.CharField(max_length=128)
    attempt = models.SmallIntegerField(default=1)
    surface = models.CharField(max_length=20)  # "chat", "api", ...
    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="usage_records", db_index=False
    )
    user_id = models.BigIntegerField(null=True)
    user_name = models.CharField(max_length=150, blank=True)
    api_key_id = models.BigIntegerField(null=True)
    api_key_prefix = models.CharField(max_length=16, blank=True)
    prompt_name = models.CharField(max_length=100, blank=True)
    prompt_version = models.IntegerField(null=True)
    provider = models.CharField(max_length=100)
    model_asked = models.CharField(max_length=200)
    model_served = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=UsageState, default=UsageState.STARTED)
    outcome = models.CharField(max_length=12, choices=Outcome, default=Outcome.RUNNING, blank=True)
    finish_reason = models.CharField(max_length=30, blank=True)
    error_class = models.CharField(max_length=40, blank=True)
    is_cache_hit = models.BooleanField("cache hit", default=False)
    # Disjoint classes: their sum is what went in and what came out.
    input_tokens = models.IntegerField(default=0)
    cached_input_tokens = models.IntegerField(default=0)
    cache_write_tokens = models.IntegerField(default=0)
    output_tokens = models.IntegerField(default=0)
    reasoning_tokens = models.IntegerField(default=0)
    is_estimated = models.BooleanField("estimated", default=False)
    # The price used, in US dollars per million tokens as strings; None: the model has no price.
    price = models.JSONField(null=True)
    hold_usd = UsdField(default=0)
    cost_usd = UsdField(null=True)  # None: not settled yet, or unpriced
    budget_period_ids = ArrayField(models.BigIntegerField(), default=list)
    started_at = models.DateTimeField(default=timezone.now)
    lease_expires_at = models.DateTimeField()
    ttft_ms = models.IntegerField("time to first token, ms", null=True)
    duration_ms = models.IntegerField("duration, ms", null=True)

    objects = UsageRecordQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        # Each call pays for every index and every constraint twice, so there are few.
        indexes = [
            models.Index(fields=["request_id"], name="usage_by_request"),
            models.Index(fields=["organization", "-started_at"], name="usage_by_organization"),
            models.Index(
                fields=["lease_expires_at"], condition=Q(state="started"), name="usage_open_leases"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Least("hold_usd", "cost_usd"), 0)
                & GreaterThanOrEqual(Least(*COUNTS), 0),  # an unknown one is left out
                name="usage_not_negative",
            ),
            models.CheckConstraint(
                condition=~Q(state="started") | (Q(cost_usd=None) & Q(outcome="")),
                name="usage_started_is_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_served} for {self.request_id}"

    @property
    def usage(self) -> TokenUsage:
        """The tokens of the attempt by class."""
        return TokenUsage(
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
            output_tokens=self.output_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )
