"""Sums of the usage records, so that reports read few rows: by hour, and by day of those."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Organization
from accounts.principal import Principal
from billing.money import UsdField


class UsageRollupQuerySet(models.QuerySet["UsageRollup"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return a person's own sums; for a key that belongs to nobody, the key's."""
        own = self.filter(organization_id=principal.organization_id)
        if principal.user_id is None:
            return own.filter(api_key_id=principal.api_key_id)
        return own.filter(user_id=principal.user_id)


class UsageSums(models.Model):
    """What settled attempts of some time and one model add up to."""

    starts_at = models.DateTimeField()
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    provider = models.CharField(max_length=100)
    model_served = models.CharField(max_length=200)
    attempts = models.BigIntegerField()
    requests = models.BigIntegerField()  # first attempts
    unpriced = models.BigIntegerField()  # attempts without a known cost
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    audio_input_tokens = models.BigIntegerField()
    audio_output_tokens = models.BigIntegerField()
    cache_write_1h_tokens = models.BigIntegerField(db_default=0)
    image_input_tokens = models.BigIntegerField(db_default=0)
    image_output_tokens = models.BigIntegerField(db_default=0)
    cost_usd = UsdField()
    saved_usd = UsdField()
    # How many attempts were in each bucket of `billing.reports.histograms`.
    ttft_ms = ArrayField(models.IntegerField())
    duration_ms = ArrayField(models.IntegerField())

    class Meta:
        abstract = True


class UsageRollup(UsageSums):
    """What the settled attempts of some time add up to that are alike in every dimension.

    Names and versions are those of the records; what staff change later changes no history.
    """

    user_id = models.BigIntegerField(null=True)
    user_name = models.CharField(max_length=150)
    api_key_id = models.BigIntegerField(null=True)
    api_key_prefix = models.CharField(max_length=16)
    surface = models.CharField(max_length=20)
    prompt_name = models.CharField(max_length=100)
    prompt_version = models.IntegerField(null=True)
    tags = ArrayField(models.CharField(max_length=50))  # sorted, each once
    service_tier = models.CharField(max_length=20)
    outcome = models.CharField(max_length=12)
    error_class = models.CharField(max_length=40)
    is_cache_hit = models.BooleanField()

    objects = UsageRollupQuerySet.as_manager()

    class Meta:
        abstract = True


class UsageHour(UsageRollup):
    """An hour of the clock in UTC."""

    class Meta:
        indexes = [models.Index(fields=["starts_at", "organization"], name="usage_hour_by_time")]

    def __str__(self) -> str:
        return f"{self.model_served} in the hour of {self.starts_at:%Y-%m-%d %H:%M}"


class UsageDay(UsageRollup):
    """A day of the installation's time zone: the sum of the hours that begin in it."""

    class Meta:
        indexes = [models.Index(fields=["starts_at", "organization"], name="usage_day_by_time")]

    def __str__(self) -> str:
        return f"{self.model_served} on the day from {self.starts_at:%Y-%m-%d %H:%M}"


class UsageModelDay(UsageSums):
    """The same days by model alone: few rows, for what is shown over time and for how long."""

    # Of what the days tell apart by outcome. The histograms are of answers by a model.
    errors = models.BigIntegerField()
    cache_hits = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["starts_at", "organization"], name="usage_model_day_by_time")
        ]

    def __str__(self) -> str:
        return f"{self.model_served} on the day from {self.starts_at:%Y-%m-%d %H:%M}"


class RollupProgress(models.Model):
    """How far the sums go: one row, which is locked by whoever makes them."""

    # Of records begun before it, only those that were open then can have changed since.
    covered_until = models.DateTimeField(null=True)
    open_hours = models.JSONField(default=list)  # [organization id, hour] of records open then
    time_zone = models.CharField(max_length=64, blank=True)  # of the days
    updated_at = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="rollup_progress_is_one_row")
        ]

    def __str__(self) -> str:
        return f"Summed up to {self.updated_at}"


class Dashboard(UsageDay):
    """The page of figures in the admin: a name to link and to give permission to."""

    class Meta:
        proxy = True
        default_permissions = ["view"]
        verbose_name_plural = "dashboard"
