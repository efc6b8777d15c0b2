"""US dollars, exact: twelve digits behind the point are a millionth of a millionth of a dollar."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models

PLACES = Decimal("1e-12")


if TYPE_CHECKING:
    DecimalField = models.DecimalField[Decimal | int | str | None, Any]
else:
    DecimalField = models.DecimalField  # takes no type parameters at run time


class UsdField(DecimalField):
    """`numeric(20,12)` US dollars."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = 20
        kwargs["decimal_places"] = 12
        super().__init__(*args, **kwargs)


def as_text(amount: Decimal) -> str:
    """Return an amount for people: cents, or as many digits as a small one needs."""
    if amount == 0 or abs(amount) >= Decimal("0.01"):
        return f"${amount:,.2f}"
    return f"${amount.normalize():f}"
