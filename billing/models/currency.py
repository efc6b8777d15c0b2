"""The currency that pages show beside US dollars, with one rate a day."""

from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from accounts.models import User

LEAST_RATE = Decimal("0.0000000001")


class DisplayCurrency(models.Model):
    """Which currency pages show; without the row they show US dollars alone. There is one row."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    code = models.CharField(
        max_length=3,
        validators=[RegexValidator(r"^[A-Z]{3}\Z", "Three capital letters, such as EUR.")],
        help_text="ISO 4217, such as EUR.",
    )
    symbol = models.CharField(max_length=5, help_text="What is written before the amount: €")

    class Meta:
        verbose_name_plural = "display currency"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="display_currency_is_one"),
            models.CheckConstraint(condition=~Q(code="USD"), name="display_currency_is_not_usd"),
        ]

    def __str__(self) -> str:
        return self.code


class ExchangeRate(models.Model):
    """What a US dollar was worth on a day. Only pages use it: the books are in US dollars."""

    code = models.CharField(
        "currency",
        max_length=3,
        validators=[RegexValidator(r"^[A-Z]{3}\Z", "Three capital letters, such as EUR.")],
    )
    day = models.DateField()
    rate = models.DecimalField(
        "for a US dollar",
        max_digits=20,
        decimal_places=10,
        validators=[MinValueValidator(LEAST_RATE)],
        help_text="How much of the currency a US dollar is worth: 0.92 for EUR.",
    )
    entered_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False)
    source = models.CharField(max_length=200, blank=True, help_text="Where it comes from.")

    class Meta:
        ordering = ["code", "-day"]
        constraints = [
            models.UniqueConstraint(fields=["code", "day"], name="exchange_rate_once_a_day"),
            models.CheckConstraint(condition=Q(rate__gt=0), name="exchange_rate_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.code} on {self.day}"
