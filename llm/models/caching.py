"""Answers kept by the meaning of their question, who got them, and what was thrown away."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from pgvector.django import VectorField

from accounts.models import Organization
from core.ids import new_id

LONGEST_SECONDS = 7 * 24 * 3600  # that an answer is kept


class SemanticAnswerQuerySet(models.QuerySet["SemanticAnswer"]):
    def alive(self) -> "SemanticAnswerQuerySet":
        return self.filter(expires_at__gt=timezone.now())


class SemanticAnswer(models.Model):
    """An answer of a prompt that takes questions of the same meaning for the same question.

    The question itself is not kept, only its vector.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    # A hash of all that must be equal: tenant, prompt and version, alias, settings, tools, and
    # every message but the question.
    scope = models.CharField(max_length=64)
    prompt_name = models.CharField(max_length=100)
    prompt_version = models.PositiveIntegerField()
    alias = models.CharField(max_length=200)
    embedding_model = models.CharField(max_length=200)
    dimensions = models.PositiveIntegerField()
    # Without fixed dimensions, for each embedding model has its own. A search looks at the rows of
    # one scope and compares them all: exact, and about a millisecond for 10,000 of them. A scope
    # beyond some 50,000 would want an HNSW index, which takes one fixed dimension: a partial one
    # on `embedding::vector(n)` for the rows of n dimensions.
    embedding = VectorField()
    answer = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = SemanticAnswerQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["scope", "expires_at"], name="semantic_answer_by_scope")]

    def __str__(self) -> str:
        return f"{self.prompt_name} v{self.prompt_version}, {self.created_at:%Y-%m-%d %H:%M}"


class SemanticHit(models.Model):
    """Somebody was given the answer to a question like theirs, and may have said it was wrong."""

    usage_id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    answer = models.ForeignKey(SemanticAnswer, models.SET_NULL, null=True, related_name="hits")
    prompt_name = models.CharField(max_length=100)
    prompt_version = models.PositiveIntegerField()
    alias = models.CharField(max_length=200)
    embedding_model = models.CharField(max_length=200)
    similarity = models.FloatField()
    threshold = models.FloatField(help_text="The prompt's, at that time.")
    created_at = models.DateTimeField(auto_now_add=True)
    reported_at = models.DateTimeField("reported as wrong", null=True)
    reported_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["created_at"], name="semantic_hit_by_time")]

    def __str__(self) -> str:
        return f"{self.prompt_name} v{self.prompt_version} at {self.similarity:.3f}"


class CachePurge(models.Model):
    """Kept answers that no longer count, of all calls or of those that fit what is filled in.

    The newest purge that fits a call is part of its key, so older answers are not found any more.
    """

    organization = models.ForeignKey(
        Organization,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: every one.",
    )
    alias = models.CharField(
        "model",
        max_length=200,
        blank=True,
        help_text="The name that callers ask for. Empty: every model.",
    )
    prompt_name = models.CharField(
        "prompt", max_length=100, blank=True, help_text="Empty: with every prompt, and without."
    )
    purged_at = models.DateTimeField(auto_now_add=True)
    purged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False
    )

    class Meta:
        verbose_name = "cache purge"
        verbose_name_plural = "cache"
        ordering = ["-purged_at"]

    def __str__(self) -> str:
        parts = [str(self.organization or ""), self.alias, self.prompt_name]
        return ", ".join(part for part in parts if part) or "everything"
