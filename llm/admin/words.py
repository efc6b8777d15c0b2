"""How a deployment is doing, in words for staff."""

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import format_html
from django.utils.safestring import SafeString

from llm.health import DeploymentHealth

STATES = {"closed": "closed", "half_open": "half-open", "open": "open"}
NOTHING = "–"


def breaker(health: DeploymentHealth) -> SafeString:
    """Return the breaker's state, for the style sheet to colour."""
    return format_html('<span class="breaker {}">{}</span>', health.state, STATES[health.state])


def milliseconds(value: float | None) -> str:
    """Return a time as people read it: in ms below a second, else in seconds."""
    if value is None:
        return NOTHING
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def number(value: int | None) -> str:
    """Return a number with its thousands apart."""
    return NOTHING if value is None else intcomma(value)
