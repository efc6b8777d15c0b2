"""What the apps' admin pages share."""

from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest


class ReadOnly:
    """Rows that are shown and cannot be added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ShortPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of a long list: no more rows are counted, or can be leafed through, than `MOST`."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or `MOST` where there are more."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by().values("pk")[: self.MOST].count()
