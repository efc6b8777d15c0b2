"""Which words are sent: prompts and their immutable versions."""

from typing import Any, Never, Self

import msgspec
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.models import CacheMode, Organization
from accounts.principal import Principal
from llm.models.caching import LONGEST_SECONDS
from prompts.content import DEFAULT_LOCALE, LONGEST_LOCALE, PromptContent

# For the code before, while a deploy runs.
EMPTY_LIST = models.Value([], models.JSONField())
EMPTY_OBJECT = models.Value({}, models.JSONField())


class PromptQuerySet(models.QuerySet["Prompt"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return the prompts of the organization that the caller acts for."""
        return self.filter(organization_id=principal.organization_id)


class Prompt(models.Model):
    """A named text for a model; programs and the chat ask for it by name and label."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="prompts")
    name = models.SlugField(
        max_length=100,
        help_text="What callers ask for. Letters, digits, hyphens; it cannot be changed later.",
    )
    description = models.CharField(max_length=300, blank=True)
    cache_mode = models.CharField(
        "cache",
        max_length=5,
        choices=CacheMode,
        blank=True,
        help_text="Empty: only what is asked at temperature 0 and without tools. A choice counts "
        "for every call with this prompt.",
    )
    cache_seconds = models.PositiveIntegerField(
        "keep answers for, seconds",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_SECONDS)],
        help_text="At most a week. Empty: as long as all others.",
    )
    semantic_threshold = models.FloatField(
        "similarity that is enough",
        null=True,
        blank=True,
        validators=[MinValueValidator(0.5), MaxValueValidator(1.0)],
        help_text="A question this similar to an earlier one gets its answer: 0.95 is careful, "
        "1 is the same. Empty: only the very same question.",
    )
    semantic_model = models.CharField(
        "embedding model",
        max_length=200,
        blank=True,
        help_text="The name under which the model is asked that compares questions.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"],
                name="prompt_name_once",
                violation_error_message="The organization already has a prompt of this name.",
            ),
            models.CheckConstraint(
                condition=models.Q(semantic_threshold=None) | ~models.Q(semantic_model=""),
                name="prompt_semantic_needs_model",
                violation_error_message="To compare questions, name an embedding model.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PromptVersionQuerySet(models.QuerySet["PromptVersion"]):
    def newest_first(self) -> Self:
        return self.order_by("-number")

    def update(self, **kwargs: Any) -> Never:
        raise VersionIsImmutable


class VersionIsImmutable(TypeError):
    """Somebody tried to change what was said: add a version instead."""


class PromptVersion(models.Model):
    """One immutable revision of a prompt: to change a prompt, add a version."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    messages = models.JSONField()
    variables = models.JSONField(default=list)
    settings = models.JSONField(default=dict)
    tools = models.JSONField(default=list, db_default=EMPTY_LIST)
    output_schema = models.JSONField(null=True)
    locales = models.JSONField(default=dict, db_default=EMPTY_OBJECT)
    default_locale = models.CharField(
        max_length=LONGEST_LOCALE, default=DEFAULT_LOCALE, db_default=DEFAULT_LOCALE
    )
    content_hash = models.CharField(max_length=64)
    note = models.CharField(max_length=300, blank=True, help_text="What changed, and why.")
    author = models.ForeignKey("accounts.User", models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptVersionQuerySet.as_manager()

    class Meta:
        verbose_name = "version"
        ordering = ["prompt", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "number"], name="prompt_version_number_once"),
            models.CheckConstraint(
                condition=models.Q(number__gte=1), name="prompt_version_counts_from_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise VersionIsImmutable
        super().save(*args, **kwargs)

    @property
    def content(self) -> PromptContent:
        """Return what this version says, typed."""
        fields = {name: getattr(self, name) for name in PromptContent.__struct_fields__}
        return msgspec.convert(fields, PromptContent)
