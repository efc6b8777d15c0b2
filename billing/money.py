"""US dollars, exact: twelve digits behind the point are a millionth of a millionth of a dollar."""

from decimal import Decimal
from typing import Any

from django.db import models

PLACES = Decimal("1e-12")


class UsdField(models.DecimalField):
    """`numeric(20,12)` US dollars."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = 20
        kwargs["decimal_places"] = 12
        super().__init__(*args, **kwargs)
