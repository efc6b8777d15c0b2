"""Who asks: people, the organizations they belong to, and the keys of their programs."""

from typing import Self

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class Organization(models.Model):
    """Who pays: every call, budget and conversation belongs to one."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person who signs in."""

    organizations = models.ManyToManyField(
        Organization, through="Membership", related_name="members"
    )


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Administrator"
    MEMBER = "member", "Member"


class Membership(models.Model):
    """A person's place in an organization."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "user"], name="membership_once_per_organization"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"


class CacheMode(models.TextChoices):
    """What a call may do with answers that were given before."""

    ON = "on", "Read and write"
    READ = "read", "Only read"
    WRITE = "write", "Only write"
    OFF = "off", "Neither"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> Self:
        """Return the keys in force: not revoked, not expired, their owners active members."""
        now = timezone.now()
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=now),
            Q(user=None)
            | Q(user__is_active=True, user__memberships__organization=F("organization")),
            revoked_at=None,
            organization__is_active=True,
        )


class ApiKey(models.Model):
    """A program's way in. Only a hash is kept: the key itself is shown once, when it is made."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="api_keys")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=16, editable=False)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    cache_mode = models.CharField(
        "cache",
        max_length=5,
        choices=CacheMode,
        default=CacheMode.ON,
        help_text="What calls with this key may do with the cache of answers, at most.",
    )
    allowed_models = models.TextField(
        blank=True,
        help_text="The only models that this key may ask for, one name a line; * stands for "
        "anything: gpt-*. Empty: all that its organization may.",
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
