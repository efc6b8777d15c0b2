""" "My usage": what a person has spent and asked, and what their budgets leave."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

import core.errors
from accounts.models import User
from accounts.services import principal_for
from billing.models import RollupProgress
from billing.reports import budgets, spans
from billing.reports.personal import PersonalReport
from billing.reports.responses import csv_response


@method_decorator(never_cache, name="dispatch")
class MyUsage(LoginRequiredMixin, View):
    """A person's own figures; nobody else's are ever on it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        try:
            principal = principal_for(request.user)
        except core.errors.PermissionDenied as error:
            raise PermissionDenied(error.message) from error
        query: Mapping[str, str] = request.GET.dict()
        error_text = ""
        try:
            span = spans.parse(query)
        except core.errors.InvalidRequest as wrong:
            error_text, span = wrong.message, spans.parse({})
        report = PersonalReport(principal, span)
        tables = {table.name: table for table in report.tables()}
        if not error_text and query.get("csv") in tables:
            name = query["csv"]
            return csv_response(f"my {name} {span}", tables[name].as_csv())
        context: dict[str, Any] = {
            "report": report,
            "error": error_text,
            "presets": [
                (title, f"?period={name}", spans.parse({"period": name}) == span)
                for name, (title, _) in spans.PRESETS.items()
            ],
            "tables": [table for table in tables.values() if table.rows],
            "standings": budgets.standings(budgets.of_person(principal)),
            "progress": RollupProgress.objects.first(),
        }
        return render(request, "billing/usage.html", context, status=400 if error_text else 200)
