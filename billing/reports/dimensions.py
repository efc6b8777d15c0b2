"""What usage can be grouped and filtered by: one name each, in pages, addresses and the API."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from billing.models import UsageDay, UsageHour, UsageModelDay
from billing.models.rollups import UsageRollupQuerySet
from billing.reports.spans import Span
from core.errors import InvalidRequest

# Each with its column in the sums.
COLUMNS: dict[str, str] = {
    "organization": "organization_id",
    "user": "user_name",
    "key": "api_key_prefix",
    "surface": "surface",
    "prompt": "prompt_name",
    "version": "prompt_version",
    "tag": "tag",
    "provider": "provider",
    "model": "model_served",
    "tier": "service_tier",
    "outcome": "outcome",
    "error": "error_class",
    "cache": "is_cache_hit",
}
TITLES = {
    "organization": "Organization",
    "user": "Person",
    "key": "API key",
    "surface": "Surface",
    "prompt": "Prompt",
    "version": "Version",
    "tag": "Tag",
    "provider": "Provider",
    "model": "Model",
    "tier": "Service tier",
    "outcome": "Outcome",
    "error": "Error class",
    "cache": "Cache",
    "day": "Day",
    "hour": "Hour",
}
_CACHE = {"hit": True, "miss": False}
_NUMBERS = ("organization", "version")


def rows_of(
    span: Span, filters: Mapping[str, Any], *, by_hour: bool = False
) -> UsageRollupQuerySet:
    """Return the sums of a span that fit all filters."""
    every = UsageRollupQuerySet(UsageHour if by_hour else UsageDay)
    rows = every.filter(starts_at__gte=span.starts_at, starts_at__lt=span.ends_at)
    for name, value in filters.items():
        rows = rows.filter(
            **{"tags__contains": [value]} if name == "tag" else {COLUMNS[name]: value}
        )
    return rows


def models_of(span: Span, filters: Mapping[str, Any]) -> QuerySet[UsageModelDay] | None:
    """Return the span's days by model alone, which are few; None where a filter needs more."""
    if not set(filters) <= {"organization", "provider", "model"}:
        return None
    rows = UsageModelDay.objects.filter(starts_at__gte=span.starts_at, starts_at__lt=span.ends_at)
    return rows.filter(**{COLUMNS[name]: value for name, value in filters.items()})


def parse_filters(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the dimensions that are filtered by; raises `InvalidRequest` for what cannot be.

    An empty value is no filter; `-` stands for what has none, such as calls without a prompt.
    """
    return {name: _value(name, query[name]) for name in COLUMNS if query.get(name)}


def _value(name: str, text: str) -> Any:
    if name == "cache":
        if text not in _CACHE:
            raise InvalidRequest("“cache” is “hit” or “miss”.", param=name)
        return _CACHE[text]
    if name in _NUMBERS:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InvalidRequest(f"“{name}” is a number.", param=name)
        return int(text)
    if "\0" in text:
        raise InvalidRequest(f"“{name}” cannot be read.", param=name)
    return "" if text == "-" else text


def as_query(filters: Mapping[str, Any]) -> dict[str, str]:
    """Return the filters as an address has them."""
    return {name: as_parameter(name, value) for name, value in filters.items()}


def as_parameter(name: str, value: Any) -> str:
    if name == "cache":
        return "hit" if value else "miss"
    return str(value) if value not in ("", None) else "-"
