"""What people thought of an answer."""

from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from accounts.principal import Principal


class FeedbackKind(models.TextChoices):
    THUMB = "thumb", "Thumb"  # 1 up, -1 down
    REGENERATED = "regenerated", "Asked for again"  # 1
    CHECK = "check", "Check"  # 1 passed, 0 failed: by a program that looked at the answer


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return what the caller has said, in the organization they act for."""
        said = self.filter(organization_id=principal.organization_id)
        if principal.user_id is not None:
            return said.filter(user_id=principal.user_id)
        return said.filter(user_id=None, api_key_id=principal.api_key_id)


class Feedback(models.Model):
    """One judgement of a request; the next of its kind by the same caller replaces it."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    request_id = models.CharField(max_length=100)  # as usage records have it; no foreign key
    kind = models.CharField(max_length=11, choices=FeedbackKind)
    value = models.SmallIntegerField()
    reason = models.CharField(max_length=500, blank=True)
    user = models.ForeignKey("accounts.User", models.CASCADE, null=True, related_name="+")
    api_key = models.ForeignKey("accounts.ApiKey", models.CASCADE, null=True, related_name="+")
    # Of the request, as the usage record has them.
    prompt_name = models.CharField(max_length=100, blank=True)
    prompt_version = models.PositiveIntegerField(null=True)
    experiment = models.CharField(max_length=100, blank=True)
    arm = models.CharField(max_length=50, blank=True)
    unit = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(
                fields=["organization", "prompt_name", "experiment"],
                condition=~Q(experiment=""),
                name="feedback_of_experiment",
            ),
            models.Index(fields=["user", "-created_at"], name="feedback_of_user"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "request_id", "kind", "user", "api_key"],
                nulls_distinct=False,
                name="feedback_once",
            ),
            models.CheckConstraint(
                condition=Q(kind="thumb", value__in=[1, -1])
                | Q(kind="regenerated", value=1)
                | Q(kind="check", value__in=[0, 1]),
                name="feedback_value_suits_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} for {self.request_id}"
