"""Which arm of a prompt each unit gets, and what came of it."""

from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.principal import Principal
from prompts.models.labels import PRODUCTION
from prompts.models.prompts import Prompt, PromptVersion

LONGEST_UNIT = 64  # characters: "conversation:" and a UUID
MOST_WEIGHT = 10_000


class Unit(models.TextChoices):
    """Whom an arm is given to, and stays with."""

    USER = "user", "User"
    CONVERSATION = "conversation", "Conversation"
    KEY = "key", "API key"


class ExperimentState(models.TextChoices):
    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"


class Metric(models.TextChoices):
    """What arms are compared by; each is a figure per unit or a ratio of two."""

    COST = "cost", "Cost per request"
    TTFT = "ttft", "Time to first token"
    DURATION = "duration", "Duration"
    INPUT_TOKENS = "input_tokens", "Input tokens per request"
    OUTPUT_TOKENS = "output_tokens", "Output tokens per request"
    ERRORS = "errors", "Share of errors"
    STOPS = "stops", "Share of stopped answers"
    REGENERATIONS = "regenerations", "Share of answers asked for again"
    THUMBS = "thumbs", "Share of thumbs up"
    CHECKS = "checks", "Share of checks passed"


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return the experiments in the organization that the caller acts for."""
        return self.filter(prompt__organization_id=principal.organization_id)

    def running(self) -> Self:
        return self.filter(state=ExperimentState.RUNNING)


class Experiment(models.Model):
    """A split of the calls that ask for a label between versions of its prompt."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="experiments")
    name = models.SlugField(max_length=100, help_text="Usage records carry it.")
    hypothesis = models.CharField(
        max_length=300, blank=True, help_text="What you expect, and of which arm."
    )
    label = models.CharField(
        max_length=50, default=PRODUCTION, help_text="Calls that ask for this label are split."
    )
    unit = models.CharField(
        max_length=12,
        choices=Unit,
        default=Unit.USER,
        help_text="Who keeps the arm they got first.",
    )
    salt = models.CharField(max_length=32, editable=False)
    state = models.CharField(
        max_length=8, choices=ExperimentState, default=ExperimentState.DRAFT, editable=False
    )
    primary_metric = models.CharField(max_length=16, choices=Metric, default=Metric.COST)
    guardrail_metric = models.CharField(
        max_length=16,
        choices=Metric,
        blank=True,
        help_text="The experiment stops by itself when an arm is certainly worse by more than the "
        "limit. Empty: it never does.",
    )
    guardrail_limit = models.FloatField(
        "worse by at most",
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(10)],
        help_text="As a share of the control's figure: 0.1 is a tenth.",
    )
    smallest_effect = models.FloatField(
        "smallest difference worth seeing",
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(10)],
        help_text="As a share of the control's figure: 0.05 is a twentieth.",
    )
    # Steps like {"hours": 24, "percent": 50}: from so many hours after the start, so many units of
    # a hundred take part. Empty: all from the start.
    ramp = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    started_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    stop_reason = models.CharField(max_length=300, blank=True, editable=False)
    # Of a minute ago; of a stopped one as they were then: usage records may be dropped later.
    results = models.JSONField(null=True, editable=False)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "name"],
                name="experiment_name_once",
                violation_error_message="The prompt already has an experiment of this name.",
            ),
            # Over all labels: two splits of one prompt would disturb each other's figures.
            models.UniqueConstraint(
                fields=["prompt"],
                condition=Q(state="running"),
                name="experiment_one_running",
                violation_error_message="Another experiment on this prompt is running.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Arm(models.Model):
    """One side of an experiment: a version, and maybe a model or settings of its own."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="arms")
    name = models.SlugField(max_length=50)
    version = models.ForeignKey(PromptVersion, models.RESTRICT, related_name="+")
    is_control = models.BooleanField("control", default=False)
    weight = models.PositiveIntegerField(
        default=1,
        validators=[MaxValueValidator(MOST_WEIGHT)],
        help_text="Two arms of 1 and 3 get a quarter and three quarters. 0: nobody new.",
    )
    model = models.CharField(
        max_length=200, blank=True, help_text="Asked instead of what the caller names."
    )
    settings = models.JSONField(default=dict, blank=True)  # as of a version; each counts before its

    class Meta:
        ordering = ["-is_control", "name"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="arm_name_once"),
            models.UniqueConstraint(
                fields=["experiment"], condition=Q(is_control=True), name="arm_one_control"
            ),
            models.CheckConstraint(
                condition=Q(weight__lte=MOST_WEIGHT), name="arm_weight_is_bounded"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Exposure(models.Model):
    """Which arm a unit got first, and keeps whatever becomes of the weights."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="exposures")
    unit = models.CharField(max_length=LONGEST_UNIT)
    arm = models.ForeignKey(Arm, models.RESTRICT, related_name="exposures")
    # The arm's share of the weights at that moment: what the alarm of the sample ratio expects.
    shares = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "unit"], name="exposure_once_per_unit")
        ]

    def __str__(self) -> str:
        return f"{self.unit} in {self.arm}"
