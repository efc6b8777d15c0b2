"""The names people ask for, and who answers to them."""

import re

from django.core.exceptions import ValidationError
from django.db import models

from accounts.models import Organization
from llm.models.providers import Deployment

TASK = re.compile(r"^[A-Za-z0-9_-]{1,50}\Z")


class Strategy(models.TextChoices):
    """In which order a route's deployments are tried."""

    PRIORITY = "priority", "By position"
    WEIGHTED = "weighted", "By weight, drawn anew for each call"
    CHEAPEST = "cheapest", "Cheapest that fits"
    FASTEST = "fastest", "Fastest to the first token"
    LEAST_BUSY = "least_busy", "Fewest calls running"


class StepRole(models.TextChoices):
    """When a step of a route is taken."""

    ANSWER = "answer", "Always"
    TOO_LONG = "too_long", "Only when the request is too long for the others"
    FILTERED = "filtered", "Only when the filter of another one has refused"


class Route(models.Model):
    """A name that callers ask for, and the deployments tried for it in order."""

    alias = models.CharField(max_length=200, unique=True)
    description = models.CharField(max_length=200, blank=True)
    deployments = models.ManyToManyField(
        Deployment, through="RouteDeployment", related_name="routes"
    )
    strategy = models.CharField(max_length=20, choices=Strategy, default=Strategy.PRIORITY)
    is_hedged = models.BooleanField(
        "hedge",
        default=False,
        help_text="Ask the next deployment too when the first one is slower than it mostly is. "
        "Both are paid.",
    )
    # A flag of its own: were an empty list everybody, deleting the last one on it would open it.
    is_for_all = models.BooleanField(
        "for everybody",
        default=True,
        help_text="Otherwise only for the organizations below; for others it does not exist.",
    )
    organizations = models.ManyToManyField(
        Organization, blank=True, related_name="routes", verbose_name="only for"
    )
    is_listed = models.BooleanField(
        "listed",
        default=True,
        help_text="Shown in the chat and in /v1/models. Otherwise only who knows its name asks.",
    )
    is_cached = models.BooleanField(
        "cache answers",
        default=False,
        help_text="Answer the same request from the cache, also where its temperature is not 0.",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["alias"]

    def __str__(self) -> str:
        return self.alias


class RouteDeployment(models.Model):
    """A deployment's place in a route; the lowest position is tried first."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="steps")
    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="steps")
    role = models.CharField("when", max_length=20, choices=StepRole, default=StepRole.ANSWER)
    position = models.PositiveSmallIntegerField(default=0)
    weight = models.PositiveSmallIntegerField(default=1, help_text="0: only when others fail.")
    tasks = models.CharField(
        max_length=200,
        blank=True,
        help_text="Only for calls with one of these tasks, separated by commas: classify, extract. "
        "Empty: for every call.",
    )

    class Meta:
        ordering = ["route", "position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["route", "deployment", "role"], name="route_step_once_per_role"
            )
        ]

    def __str__(self) -> str:
        return f"{self.route}: {self.deployment}"

    @property
    def task_names(self) -> frozenset[str]:
        """The tasks that the step is kept for; none: it is there for every call."""
        return frozenset(filter(None, map(str.strip, self.tasks.split(","))))

    def clean(self) -> None:
        """Refuse tasks that no call could name."""
        if not all(map(TASK.fullmatch, self.task_names)):
            raise ValidationError(
                {"tasks": "A task has up to 50 letters, digits, _ and -; commas stand between."}
            )
