"""What every page of Django's shares."""

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from core.database import AWAY, OUTAGES
from core.errors import DependencyDown
from core.views import unavailable


class Outages(MiddlewareMixin):
    """Tells people to come again where PostgreSQL or Redis is away, instead of "our mistake"."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page for an outage; `None` for what Django is to report."""
        if isinstance(error, OUTAGES):
            error = DependencyDown(AWAY)
        return unavailable(request, error) if isinstance(error, DependencyDown) else None
