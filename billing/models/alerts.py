"""Who is told of what: rules and channels, each alert once, and its way to each channel."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, validate_email
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from billing.models.budgets import Budget
from core.ids import new_id

MOST_PERCENT = 1000


class ChannelKind(models.TextChoices):
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook (signed JSON)"
    SLACK = "slack", "Slack, or what takes Slack's messages"


class AlertChannel(models.Model):
    """A way to people or programs; any number of rules may use it."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=ChannelKind)
    addresses = models.TextField(
        "e-mail addresses", blank=True, help_text="One a line. They see each other's."
    )
    # The address of a webhook can be a secret, so all that shows of it is its host.
    host = models.CharField(max_length=255, blank=True, editable=False)
    secret_encrypted = models.TextField(blank=True, editable=False)
    secret_key_id = models.CharField(max_length=8, blank=True, editable=False)
    takes_operations = models.BooleanField(
        "also told of what concerns Parley itself",
        default=False,
        help_text="Models without a price that are used, calls that cost more than was held for "
        "them, and books that do not balance.",
    )
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "alert channel"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def recipients(self) -> list[str]:
        """The e-mail addresses, each once."""
        lines = (line.strip() for line in self.addresses.splitlines())
        return list(dict.fromkeys(line for line in lines if line))

    def clean(self) -> None:
        """Refuse addresses that no e-mail could reach."""
        if self.kind == ChannelKind.EMAIL and not self.recipients:
            raise ValidationError({"addresses": "Give an address."})
        for recipient in self.recipients:
            try:
                validate_email(recipient)
            except ValidationError:
                raise ValidationError({"addresses": f"{recipient} is no address."}) from None


class AlertRule(models.Model):
    """When somebody is told about a budget, and who."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="alert_rules")
    thresholds = ArrayField(
        models.PositiveSmallIntegerField(
            validators=[MinValueValidator(1), MaxValueValidator(MOST_PERCENT)]
        ),
        default=list,
        blank=True,
    )
    on_forecast = models.BooleanField(
        "on forecast",
        default=True,
        help_text="Also when, at the pace so far, the limit will be exceeded before the period "
        "ends. Not in the first tenth of a period, and not for a budget without an end.",
    )
    channels = models.ManyToManyField(AlertChannel, related_name="rules")
    is_active = models.BooleanField("active", default=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "alert rule"
        ordering = ["budget", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(thresholds=[]) | Q(on_forecast=True),
                name="alert_rule_has_a_reason",
                violation_error_message="Give a threshold, or tell of the forecast.",
            )
        ]

    def __str__(self) -> str:
        return f"Rule for {self.budget}"


class AlertKind(models.TextChoices):
    """What happened; the value is the `type` that receivers of webhooks see."""

    THRESHOLD = "budget.threshold_reached", "Threshold reached"
    FORECAST = "budget.forecast_exceeded", "Forecast above the limit"
    OVERRUN = "budget.overrun", "More than was held"
    UNPRICED = "model.unpriced", "Model without a price"
    BOOKS = "books.unbalanced", "Books do not balance"


class Alert(models.Model):
    """Something that happened and that is told once. Its words stay as they were."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # What makes it one: kind, budget, period and threshold, or whatever else it is about.
    key = models.CharField(max_length=400, unique=True, editable=False)
    kind = models.CharField(max_length=40, choices=AlertKind)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="alerts")
    budget = models.ForeignKey(Budget, models.SET_NULL, null=True, related_name="alerts")
    title = models.CharField(max_length=400)
    text = models.TextField()
    facts = models.JSONField(default=dict)  # amounts are strings of US dollars
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["-created_at"], name="alert_by_time")]

    def __str__(self) -> str:
        return self.title


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Waiting"
    SENT = "sent", "Sent"
    DEAD = "dead", "Given up"


class AlertDeliveryQuerySet(models.QuerySet["AlertDelivery"]):
    def dead(self) -> Self:
        return self.filter(state=DeliveryState.DEAD)

    def due(self, now: object) -> Self:
        """Return what is to be sent now; what waits for a channel that is switched off, is not."""
        return self.filter(
            state=DeliveryState.PENDING, next_try_at__lte=now, channel__is_active=True
        ).order_by("next_try_at")


class AlertDelivery(models.Model):
    """An alert's way to one channel."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    queued_at = models.DateTimeField(default=timezone.now)  # from here on a day is tried
    next_try_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    objects = AlertDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "alert deliveries"
        ordering = ["-queued_at", "-pk"]
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(state="pending"), name="alert_delivery_due"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["alert", "channel"], name="alert_delivery_once")
        ]

    def __str__(self) -> str:
        return f"{self.alert} to {self.channel}"
