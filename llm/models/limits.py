"""How much callers may ask for in a time, and who has asked for more."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import ApiKey, Organization

LONGEST = 86_400  # seconds; what is to last longer than a day is a budget
AT_LEAST_ONE = [MinValueValidator(1)]


class Scope(models.TextChoices):
    """Who has a counter of their own."""

    ORGANIZATION = "organization", "Organization"
    USER = "user", "User"
    API_KEY = "api_key", "API key"
    IP = "ip", "Address (IP)"


class Limit(models.Model):
    """A rule: so many requests and tokens in a time, so many calls at once."""

    name = models.CharField(
        max_length=100, unique=True, help_text="Whoever is refused by it reads this."
    )
    scope = models.CharField("for each", max_length=12, choices=Scope)
    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="+"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    api_key = models.ForeignKey(
        ApiKey, models.CASCADE, null=True, blank=True, related_name="+", verbose_name="API key"
    )
    requests = models.PositiveIntegerField(
        null=True, blank=True, validators=AT_LEAST_ONE, help_text="In the time below."
    )
    tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=AT_LEAST_ONE,
        help_text="Of input and output, in the time below.",
    )
    seconds = models.PositiveIntegerField(
        default=60,
        validators=[*AT_LEAST_ONE, MaxValueValidator(LONGEST)],
        help_text="60 is a minute, 3600 an hour, 86400 a day.",
    )
    parallel = models.PositiveIntegerField(
        "calls at once", null=True, blank=True, validators=AT_LEAST_ONE
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(requests__isnull=False)
                | Q(tokens__isnull=False)
                | Q(parallel__isnull=False),
                name="limit_has_a_figure",
                violation_error_message="Fill in requests, tokens or calls at once.",
            ),
            models.CheckConstraint(
                condition=(Q(requests=None) | Q(requests__gt=0))
                & (Q(tokens=None) | Q(tokens__gt=0))
                & (Q(parallel=None) | Q(parallel__gt=0))
                & Q(seconds__gt=0, seconds__lte=LONGEST),
                name="limit_above_zero",
            ),
            models.CheckConstraint(
                condition=(Q(organization=None) | Q(scope=Scope.ORGANIZATION))
                & (Q(user=None) | Q(scope=Scope.USER))
                & (Q(api_key=None) | Q(scope=Scope.API_KEY)),
                name="limit_target_matches_scope",
                violation_error_message="Name only what the limit is for, or nothing at all.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LimitRefusal(models.Model):
    """That a caller asked for more than a limit allows: one row for each minute of it.

    Names are plain values: what staff change later changes no history.
    """

    minute = models.DateTimeField(db_index=True)
    limit_name = models.CharField("limit", max_length=100)
    figure = models.CharField(max_length=20)  # "requests", "tokens", "parallel", ...
    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="+"
    )
    user_name = models.CharField("user", max_length=150, blank=True)
    api_key_prefix = models.CharField("API key", max_length=16, blank=True)
    ip = models.CharField("address", max_length=64, blank=True)
    surface = models.CharField(max_length=20, blank=True)
    count = models.PositiveIntegerField("times")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["-minute", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("minute", "limit_name", "figure", "organization"),
                    *("user_name", "api_key_prefix", "ip", "surface"),
                ],
                nulls_distinct=False,
                name="limit_refusal_once_a_minute",
            )
        ]

    def __str__(self) -> str:
        return f"{self.limit_name}, {self.minute:%Y-%m-%d %H:%M}"
