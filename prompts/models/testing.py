"""Datasets of cases, and runs of versions over them."""

from typing import Self

from django.db import models
from django.db.models import Q

from accounts.principal import Principal
from billing.money import UsdField
from prompts.models.prompts import Prompt


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return the datasets in the organization that the caller acts for."""
        return self.filter(prompt__organization_id=principal.organization_id)


class Dataset(models.Model):
    """Cases that every version of a prompt should get right."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="datasets")
    name = models.SlugField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    guards_releases = models.BooleanField(
        default=False,
        help_text="A label whose rule asks for passed tests wants these cases to pass.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["prompt", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "name"],
                name="dataset_name_once",
                violation_error_message="The prompt already has a dataset of this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Case(models.Model):
    """Values for the prompt's variables, what is said after its words, and what must come of it."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="cases")
    name = models.CharField(max_length=200)
    variables = models.JSONField(default=dict, blank=True)
    locale = models.CharField(max_length=20, blank=True)
    messages = models.JSONField(default=list, blank=True)  # {"role", "content"}, after the prompt's
    checks = models.JSONField(default=list, blank=True)  # as `prompts.testing.checks` reads them
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["dataset", "position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "name"],
                name="case_name_once",
                violation_error_message="The dataset already has a case of this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class RunState(models.TextChoices):
    """Where a run stands; the last four are its ends."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    CAPPED = "capped", "Stopped at the cap"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"


class DatasetRunQuerySet(models.QuerySet["DatasetRun"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return the runs in the organization that the caller acts for."""
        return self.filter(dataset__prompt__organization_id=principal.organization_id)


class DatasetRun(models.Model):
    """Versions by models, asked every case of a dataset."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="runs")
    versions = models.JSONField()  # numbers
    model_names = models.JSONField()  # names as calls ask for them
    state = models.CharField(max_length=9, choices=RunState, default=RunState.WAITING)
    failure = models.CharField(max_length=300, blank=True)
    cap_usd = UsdField("cap, USD")
    estimated_usd = UsdField("estimate, USD", null=True)  # None: a model without a price
    spent_usd = UsdField("spent, USD", default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)  # whoever works on it renews this

    objects = DatasetRunQuerySet.as_manager()

    class Meta:
        verbose_name = "run"
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=["waiting", "running"]),
                name="dataset_run_open",
            )
        ]

    def __str__(self) -> str:
        return f"Run {self.pk} of {self.dataset}"


class CaseResult(models.Model):
    """What one version and model made of one case; a plain record of what was seen."""

    run = models.ForeignKey(DatasetRun, models.CASCADE, related_name="results")
    case = models.ForeignKey(Case, models.SET_NULL, null=True, related_name="+")
    case_name = models.CharField(max_length=200)
    version = models.PositiveIntegerField()
    model = models.CharField(max_length=200)
    output = models.TextField(blank=True)
    checks = models.JSONField(default=list)  # {"kind", "passed", "why"}, and "score" where there is
    passed = models.BooleanField(null=True)  # None: the case has no checks
    error = models.CharField(max_length=500, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    cost_usd = UsdField("cost, USD", null=True)  # with what judges cost; None: unpriced
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    ttft_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "result"
        ordering = ["run", "case_name", "version", "model"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "case_name", "version", "model"], name="case_result_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.case_name}, version {self.version}, {self.model}"
