"""One record per attempt."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from accounts.models import Organization
from accounts.principal import Principal
from billing.money import UsdField
from billing.pricing import TokenUsage
from core.ids import new_id


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
    *("output_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("cache_write_1h_tokens", "image_input_tokens", "image_output_tokens"),
    *("ttft_ms", "duration_ms"),
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
    # Of the experiment that chose the words, which arm, and what the arm was drawn for.
    experiment = models.CharField(max_length=100, default="", db_default="", blank=True)
    arm = models.CharField(max_length=50, default="", db_default="", blank=True)
    unit = models.CharField(max_length=64, default="", db_default="", blank=True)
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    provider = models.CharField(max_length=100)
    model_asked = models.CharField(max_length=200)
    model_served = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=UsageState, default=UsageState.STARTED)
    outcome = models.CharField(max_length=12, choices=Outcome, default=Outcome.RUNNING, blank=True)
    finish_reason = models.CharField(max_length=30, blank=True)
    error_class = models.CharField(max_length=40, blank=True)
    # As the vendor says, until then as it was asked for; "": ordinary.
    service_tier = models.CharField(max_length=20, blank=True)
    is_cache_hit = models.BooleanField("cache hit", default=False)
    # Disjoint classes: their sum is what went in and what came out.
    input_tokens = models.IntegerField(default=0)
    cached_input_tokens = models.IntegerField(default=0)
    cache_write_tokens = models.IntegerField(default=0)
    output_tokens = models.IntegerField(default=0)
    reasoning_tokens = models.IntegerField(default=0)
    audio_input_tokens = models.IntegerField(default=0)
    audio_output_tokens = models.IntegerField(default=0)
    # In the table's own words, too: processes that do not know them yet go on writing.
    cache_write_1h_tokens = models.IntegerField(default=0, db_default=0)
    image_input_tokens = models.IntegerField(default=0, db_default=0)
    image_output_tokens = models.IntegerField(default=0, db_default=0)
    is_estimated = models.BooleanField("estimated", default=False)
    # The price used, in US dollars per million tokens as strings; None: the model has no price.
    price = models.JSONField(null=True)
    hold_usd = UsdField(default=0)
    cost_usd = UsdField(null=True)  # None: not settled yet, or unpriced
    saved_usd = UsdField(null=True)  # what an answer from the cache would have cost
    budget_period_ids = ArrayField(models.BigIntegerField(), default=list)
    started_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)
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
            models.Index(
                fields=["experiment", "organization", "-started_at"],
                condition=~Q(experiment=""),
                name="usage_by_experiment",
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
            audio_input_tokens=self.audio_input_tokens,
            audio_output_tokens=self.audio_output_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens,
            image_input_tokens=self.image_input_tokens,
            image_output_tokens=self.image_output_tokens,
        )
