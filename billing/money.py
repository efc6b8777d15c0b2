"""US dollars, exact: twelve digits behind the point are a millionth of a millionth of a dollar."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from django.core.validators import MinValueValidator
from django.db import models

PLACES = Decimal("1e-12")


if TYPE_CHECKING:
    DecimalField = models.DecimalField[Decimal | int | str | None, Any]
else:
    DecimalField = models.DecimalField  # takes no type parameters at run time


class UsdField(DecimalField):
    """`numeric(20,12)` US dollars, never negative."""

    default_validators = [MinValueValidator(0)]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = 20
        kwargs["decimal_places"] = 12
        super().__init__(*args, **kwargs)

    def value_from_object(self, obj: models.Model) -> Any:
        """Return the amount for a form: without the zeros that the database adds."""
        amount = super().value_from_object(obj)
        return shortest(amount) if isinstance(amount, Decimal) else amount


def shortest(amount: Decimal) -> Decimal:
    """Return the amount without the zeros that a database adds."""
    return Decimal(exactly(amount))


def exactly(amount: Decimal) -> str:
    """Return an amount for programs: every digit that counts, and no exponent."""
    return f"{amount.normalize():f}"


def as_text(amount: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """Return an amount for people: in cents, and a small one with two digits that count."""
    places = 2 if amount == 0 or abs(amount) >= 1 else max(4, 1 - amount.adjusted())
    cents, rest = f"{amount.quantize(Decimal(1).scaleb(-places), rounding):,f}".split(".")
    return f"${cents}.{rest[:2]}{rest[2:].rstrip('0')}"
