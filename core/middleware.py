"""What every page of Django's shares."""

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from django.views.defaults import bad_request

from core.database import AWAY, OUTAGES, is_zero_character
from core.errors import DependencyDown
from core.views import unavailable


class Outages(MiddlewareMixin):
    """Tells people to come again where PostgreSQL or Redis is away, instead of "our mistake"."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page for an outage; `None` for what Django is to report."""
        if isinstance(error, OUTAGES):
            error = DependencyDown(AWAY)
        return unavailable(request, error) if isinstance(error, DependencyDown) else None


class ZeroCharacters(MiddlewareMixin):
    """Answers 400 to an address or a form with a zero character, instead of "our mistake"."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page for a request that cannot be read; `None` for any other failure."""
        return bad_request(request, error) if is_zero_character(error) else None
