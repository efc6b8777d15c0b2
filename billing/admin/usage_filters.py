"""Filters of a list of millions of records: none of them reads the records to know its choices."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

from billing.models import UsageDay, UsageRecord
from core.ids import lowest_id

Records = QuerySet[UsageRecord]

# A record's id is made a moment before or after its start is noted.
APART = timedelta(minutes=1)
EXPERIMENTS = """
WITH RECURSIVE found AS (
    SELECT min(experiment) AS name FROM billing_usagerecord WHERE experiment <> ''
    UNION ALL
    SELECT (
        SELECT min(experiment) FROM billing_usagerecord
        WHERE experiment <> '' AND experiment > found.name
    ) FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""
NAMES = ("user_name", "api_key_prefix", "model_served", "prompt_name")


class Began(admin.DateFieldListFilter):
    """By the time at which attempts began; found by their ids, which are in order of time."""

    def queryset(self, request: HttpRequest, queryset: Records) -> Records:
        found = cast(Records, super().queryset(request, queryset))
        if since := self._moment(self.lookup_kwarg_since):
            found = found.filter(id__gte=lowest_id(since - APART))
        if until := self._moment(self.lookup_kwarg_until):
            found = found.filter(id__lt=lowest_id(until + APART))
        return found

    def _moment(self, name: str) -> Any:
        """Return the moment; what is none has been refused by the filter itself."""
        moment = parse_datetime(self.date_params.get(name, ""))
        return None if moment is None or moment.tzinfo is None else moment


class _Summed(admin.SimpleListFilter):
    """By a value that the sums of the days know: there are few of these rows."""

    column: ClassVar[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(value, value) for value in _values(self.column) if value]

    def queryset(self, request: HttpRequest, queryset: Records) -> Records:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class Experiment(admin.SimpleListFilter):
    """By an experiment: from each name the index leads to the next one."""

    title = parameter_name = "experiment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(EXPERIMENTS)
            return [(name, name) for (name,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: Records) -> Records:
        return queryset.filter(experiment=self.value()) if self.value() else queryset


class Surface(_Summed):
    title = parameter_name = column = "surface"


class Provider(_Summed):
    title = parameter_name = column = "provider"


def search(records: Records, term: str) -> Records:
    """Return those of a request or experiment, or whose user, key, model or prompt has `term`."""
    of_request = records.filter(request_id=term)
    if of_request.exists():
        return of_request
    named = Q(experiment=term)
    for column in NAMES:
        values = _values(column, **{f"{column}__icontains": term})
        named |= Q(**{f"{column}__in": list(values)})
    return records.filter(named)


def _values(column: str, **condition: str) -> Iterable[str]:
    days = UsageDay.objects.filter(**condition).order_by(column)
    return days.values_list(column, flat=True).distinct()
