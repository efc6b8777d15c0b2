"""What texts are checked for on their way to a model and back, and what was decided."""

from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from core.ids import new_id


class CheckName(models.TextChoices):
    """What a rule looks for; `llm.guardrails` has a file for each."""

    PII = "pii", "Personal data"
    SECRETS = "secrets", "Keys and tokens"
    INJECTION = "injection", "Hidden instructions"
    MODERATION = "moderation", "Moderation by a model"
    WORDS = "words", "Own words and patterns"


class Direction(models.TextChoices):
    """Which way a text goes."""

    IN = "in", "To the model"
    OUT = "out", "From the model"
    BOTH = "both", "Both ways"


class Action(models.TextChoices):
    """What is done about a finding."""

    OFF = "off", "Off: do not look"
    LOG = "log", "Record it"
    REDACT = "redact", "Replace it"
    BLOCK = "block", "Refuse the call"


class GuardrailRuleQuerySet(models.QuerySet["GuardrailRule"]):
    def active_for(self, organization_id: int | None) -> Self:
        """Return the rules that may count for an organization's calls, in their order."""
        own = Q(organization=None) | Q(organization_id=organization_id)
        return self.filter(own, is_active=True).order_by("position", "name")


class GuardrailRule(models.Model):
    """What one check does about the calls that it counts for."""

    name = models.CharField(max_length=100, unique=True, help_text="It is shown with decisions.")
    check_name = models.CharField("check", max_length=20, choices=CheckName)
    action = models.CharField(max_length=10, choices=Action, default=Action.LOG)
    direction = models.CharField(max_length=4, choices=Direction, default=Direction.IN)
    organization = models.ForeignKey(
        Organization,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: every one.",
    )
    prompt_name = models.CharField(
        "prompt", max_length=100, blank=True, help_text="Empty: with every prompt, and without."
    )
    surface = models.CharField(
        max_length=20, blank=True, help_text="Where the call comes from. Empty: everywhere."
    )
    settings = models.JSONField(default=dict, blank=True, editable=False)
    position = models.PositiveIntegerField(
        default=0, help_text="Of rules that count alike, the lowest is applied first."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GuardrailRuleQuerySet.as_manager()

    class Meta:
        ordering = ["check_name", "position", "name"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(check_name=CheckName.INJECTION) | Q(direction=Direction.IN),
                name="guardrail_injection_goes_in",
            ),
            models.CheckConstraint(
                condition=~Q(check_name=CheckName.MODERATION, action=Action.REDACT),
                name="guardrail_moderation_has_no_place",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class GuardrailDecision(models.Model):
    """That a rule has found something in a call, how often, and what came of it; never the text."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    decided_at = models.DateTimeField(db_index=True)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    user_name = models.CharField("user", max_length=150, blank=True)
    api_key_prefix = models.CharField("API key", max_length=16, blank=True)
    surface = models.CharField(max_length=20, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    prompt_name = models.CharField("prompt", max_length=100, blank=True)
    rule_name = models.CharField("rule", max_length=100)
    check_name = models.CharField("check", max_length=20, choices=CheckName)
    kind = models.CharField("found", max_length=40)
    direction = models.CharField(max_length=4, choices=Direction)
    action = models.CharField(max_length=10, choices=Action)
    count = models.PositiveIntegerField(help_text="How often it was found.")

    class Meta:
        ordering = ["-decided_at"]
        indexes = [
            models.Index(fields=["organization", "-decided_at"], name="guardrail_by_organization")
        ]

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.kind}, {self.decided_at:%Y-%m-%d %H:%M}"
