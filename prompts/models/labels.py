"""Names that point at versions: what callers ask for, who moves them, and what a move needs."""

import re
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounts.models import Organization
from accounts.principal import Principal
from prompts.models.prompts import Prompt, PromptVersion

PRODUCTION = "production"  # the label that callers get unless they name another
LABEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}")
WRONG_LABEL = "A label has small letters, digits, hyphens and underscores, a letter first."


class PromptLabel(models.Model):
    """A name that points at one version of a prompt, and can be moved to another."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="labels")
    name = models.CharField(max_length=50)
    version = models.ForeignKey(PromptVersion, models.PROTECT, related_name="labels")
    moved_at = models.DateTimeField(auto_now=True)
    moved_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, blank=True)

    class Meta:
        verbose_name = "label"
        ordering = ["prompt", "name"]
        constraints = [models.UniqueConstraint(fields=["prompt", "name"], name="prompt_label_once")]

    def __str__(self) -> str:
        return self.name


class LabelRule(models.Model):
    """What it takes to move a label of this name, for all prompts of an organization."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="label_rules")
    label = models.CharField(max_length=50, default=PRODUCTION)
    needs_second_person = models.BooleanField(
        "needs a second person",
        default=False,
        help_text="One proposes the move, another confirms it.",
    )
    required_pass_rate = models.DecimalField(
        "share of cases that must pass",
        max_digits=4,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Of each dataset that guards releases, in the version's last run: 0.9 is nine "
        "of ten. Empty: a version needs no tests.",
    )

    class Meta:
        ordering = ["organization", "label"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "label"], name="label_rule_once"),
            models.CheckConstraint(
                condition=Q(required_pass_rate=None)
                | Q(required_pass_rate__gte=0, required_pass_rate__lte=1),
                name="label_rule_rate_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"“{self.label}” of {self.organization}"


class MoveState(models.TextChoices):
    """Where a move stands; the last four are its ends."""

    PROPOSED = "proposed", "Waits for a second person"
    SCHEDULED = "scheduled", "Scheduled"
    DONE = "done", "Done"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"
    FAILED = "failed", "Failed"


class LabelMoveQuerySet(models.QuerySet["LabelMove"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return the moves in the organization that the caller acts for."""
        return self.filter(prompt__organization_id=principal.organization_id)

    def open(self) -> Self:
        return self.filter(state__in=[MoveState.PROPOSED, MoveState.SCHEDULED])

    def newest_first(self) -> Self:
        return self.order_by("-created_at", "-pk")


class LabelMove(models.Model):
    """One move of a label, from who proposed it to its end: the history of what was in force."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="label_moves")
    label = models.CharField(max_length=50)
    version = models.ForeignKey(PromptVersion, models.RESTRICT, related_name="+")
    # Where the label pointed before; of an open move: not known yet.
    previous_version = models.ForeignKey(
        PromptVersion, models.RESTRICT, null=True, blank=True, related_name="+"
    )
    state = models.CharField(max_length=10, choices=MoveState)
    note = models.CharField(max_length=300, blank=True, help_text="Why.")
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    proposed_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=300, blank=True)

    objects = LabelMoveQuerySet.as_manager()

    class Meta:
        verbose_name = "label move"
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["prompt", "-created_at"], name="label_move_history"),
            models.Index(fields=["due_at"], condition=Q(state="scheduled"), name="label_move_due"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "label"],
                condition=Q(state__in=["proposed", "scheduled"]),
                name="label_move_one_open",
                violation_error_message="A move of this label is already open.",
            ),
            models.CheckConstraint(
                condition=~Q(state="done")
                | Q(decided_by=None)
                | Q(proposed_by=None)
                | ~Q(decided_by=F("proposed_by")),
                name="label_move_second_person_is_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt}: {self.label} to version {self.version.number}"
