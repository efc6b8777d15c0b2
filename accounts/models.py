"""Who asks: people, the organizations they belong to, and the keys of their programs."""

from typing import Self

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.principal import Principal
from accounts.rights import validate_addresses, validate_models


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


class Scope(models.TextChoices):
    """What a key may be used for."""

    CHAT = "chat", "Chat: completions, responses and messages"
    EMBEDDINGS = "embeddings", "Embeddings"
    MODELS = "models", "List of models"
    BATCHES = "batches", "Batches and their files"
    DATA = "data", "REST API: prompts, usage, conversations"


class OnDisconnect(models.TextChoices):
    """What becomes of an answer whose client has left."""

    STOP = "stop", "Stop it"
    DRAIN = "drain", "Write it to its end"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return the keys that a person may manage: theirs, or as its manager the organization's.

        A key manages no keys.
        """
        if principal.api_key_id is not None or principal.user_id is None:
            return self.none()
        of_organization = self.filter(organization_id=principal.organization_id)
        if is_manager(principal):
            return of_organization
        return of_organization.filter(user_id=principal.user_id)

    def replaceable_by(self, principal: Principal) -> Self:
        """Return the keys whose secret a person may have: theirs, or as its manager nobody's.

        Whoever has a person's secret is that person to Parley: reads what they have written, and is
        staff where they are.
        """
        return self.visible_to(principal).filter(Q(user=None) | Q(user_id=principal.user_id))

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
        validators=[validate_models],
        help_text="The only models that this key may ask for, one name a line; * stands for "
        "anything: gpt-*. Empty: all that its organization may.",
    )
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope),
        default=list,
        db_default=[],  # for the code before, while a deploy runs; so are the next two
        blank=True,
        help_text="What it may be used for. None chosen: everything, also what is added later.",
    )
    allowed_addresses = models.TextField(
        default="",
        db_default="",
        blank=True,
        validators=[validate_addresses],
        help_text="The only addresses that may use it, one address or network a line: 192.0.2.7, "
        "10.0.0.0/8, 2001:db8::/32. Empty: any.",
    )
    on_disconnect = models.CharField(
        "when the client leaves",
        max_length=5,
        choices=OnDisconnect,
        default=OnDisconnect.STOP,
        db_default=OnDisconnect.STOP,
        help_text="What becomes of an answer that is being written. It costs what was written.",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # After a rotation: the secret before it works until then.
    previous_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values), name="api_key_scopes_are_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def status(self) -> str:
        """Return in a word whether it works, as far as the key itself can say."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= timezone.now() else "active"


def is_manager(principal: Principal) -> bool:
    """Return whether a person manages the keys of the organization that they act for."""
    if principal.api_key_id is not None or principal.user_id is None:
        return False
    return Membership.objects.filter(
        user=principal.user_id,
        organization=principal.organization_id,
        role__in=(Role.OWNER, Role.ADMIN),
    ).exists()
