"""The form through which people sign in, on our page and on the admin's."""

from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError

from core import address
from core.throttle import Throttle, TooOften

WINDOW = 900  # seconds
ADDRESSES = 10  # times as many wrong passwords may come from one address: many people share one
TOO_MANY = "There were too many wrong passwords."

# A password is slow to check, and people choose passwords that can be guessed.
by_name = Throttle("passwords-name", times=lambda: settings.WRONG_PASSWORDS, seconds=WINDOW)
by_address = Throttle(
    "passwords-address", times=lambda: settings.WRONG_PASSWORDS * ADDRESSES, seconds=WINDOW
)


class SignInForm(AuthenticationForm):
    """Refuses whoever has been wrong too often, before any password is looked at."""

    retry_after: str | None = None  # what the header says, where it refuses

    def clean(self) -> dict[str, Any]:
        name = self.cleaned_data.get("username", "").casefold()
        ip = address.of_request(self.request) if self.request else ""
        try:
            by_name.check(name, TOO_MANY)
            by_address.check(ip, TOO_MANY)
        except TooOften as error:
            self.retry_after = error.retry_after_header
            raise ValidationError(error.message, code=error.code) from None
        try:
            return super().clean()
        except ValidationError:
            by_name.count(name)
            by_address.count(ip)
            raise


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """The same for the admin, which lets only staff in."""
