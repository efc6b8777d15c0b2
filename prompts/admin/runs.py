"""Where staff start a run of versions over a dataset, watch it, and read what came of it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from core.errors import AppError
from prompts.admin.pages import user_of
from prompts.admin.run_pages import MOST_COLUMNS, rows_of
from prompts.admin.run_start import RunEditor
from prompts.models import CaseResult, Dataset, DatasetRun
from prompts.testing import comparison, runs
from prompts.testing.leases import OPEN

CASES_A_PAGE = 50
ADD = "prompts.add_datasetrun"
CHANGE = "prompts.change_datasetrun"


@admin.register(DatasetRun)
class DatasetRunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What has run is kept: releases and comparisons look back at it."""

    list_display = ["__str__", "prompt", "state", "said_versions", "spent", "created_at"]
    list_select_related = ["dataset__prompt"]
    list_filter = ["state", "dataset__prompt__organization"]
    search_fields = ["dataset__name", "dataset__prompt__name"]
    actions = None

    class Media:
        css = {"all": ["prompts/admin.css", "prompts/releases.css", "prompts/tests.css"]}

    @admin.display(description="Prompt", ordering="dataset__prompt")
    def prompt(self, run: DatasetRun) -> str:
        return str(run.dataset.prompt)

    @admin.display(description="Versions")
    def said_versions(self, run: DatasetRun) -> str:
        return ", ".join(map(str, run.versions))

    @admin.display(description="Spent, USD", ordering="spent_usd")
    def spent(self, run: DatasetRun) -> str:
        return f"{run.spent_usd:.6f}"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the button that cancels, and the page of one result."""
        site = self.admin_site
        cancel = site.admin_view(require_POST(self.cancel))
        result = site.admin_view(self.result_page)
        return [
            path("<int:pk>/cancel/", cancel, name="prompts_datasetrun_cancel"),
            path("<int:pk>/results/<int:result_id>/", result, name="prompts_datasetrun_result"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for versions and models, show what they will cost, then start."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        number = request.GET.get("dataset", "")
        if not number.isdecimal():
            ready = Dataset.objects.filter(cases__isnull=False).distinct()
            found = ready.select_related("prompt__organization")
            return self._page(request, "choose", title="New run", datasets=found)
        known = Dataset.objects.select_related("prompt__organization")
        dataset = get_object_or_404(known, pk=int(number))
        editor = RunEditor(dataset, user_of(request), request.POST or None)
        if request.method == "POST" and (run := editor.started()):
            return HttpResponseRedirect(_url("change", run.pk))
        title = f"Run “{dataset}”"
        return self._page(request, "start", title=title, dataset=dataset, editor=editor)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show how far a run is and what came of it; with `part`, only what changes."""
        run = self.get_object(request, object_id)
        if run is None or not self.has_view_permission(request, run):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            raise PermissionDenied  # a run is not edited
        template = "progress" if "part" in request.GET else "run"
        return self._page(request, template, **_everything(run, request))

    def result_page(self, request: HttpRequest, pk: int, result_id: int) -> HttpResponse:
        """Show one result in full; with `part`, without the page around it."""
        if not request.user.has_perm("prompts.view_datasetrun"):
            raise PermissionDenied
        results = CaseResult.objects.select_related("run__dataset__prompt")
        result = get_object_or_404(results, pk=result_id, run=pk)
        template = "answer" if "part" in request.GET else "result"
        return self._page(request, template, title=str(result), result=result, run=result.run)

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """End an open run."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        run = get_object_or_404(DatasetRun.objects.select_related("dataset"), pk=pk)
        try:
            runs.cancel(run=run, by=user_of(request))
        except AppError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.message_user(request, "The run is cancelled.", messages.SUCCESS)
        return HttpResponseRedirect(_url("change", pk))

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        everything = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "may_cancel": request.user.has_perm(CHANGE),
            "may_add": request.user.has_perm(ADD),
            **context,
        }
        return TemplateResponse(request, f"admin/prompts/datasetrun/{template}.html", everything)


def _everything(run: DatasetRun, request: HttpRequest) -> dict[str, Any]:
    """Return what the page of a run shows."""
    is_open = run.state in OPEN
    asked = run.dataset.cases.count() * len(run.versions) * len(run.model_names)
    done = run.results.count()
    is_failed_only = request.GET.get("show") == "failed"
    names = run.results.order_by("case_name").values_list("case_name", flat=True)
    if is_failed_only:
        names = names.filter(passed=False)
    page = Paginator(names.distinct(), CASES_A_PAGE).get_page(request.GET.get("p"))
    columns = comparison.columns(run)
    return {
        "title": f"{run}",
        "run": run,
        "is_open": is_open,
        "done": done,
        "total": max(asked, done),
        "columns": columns,
        "is_wide": len(columns) > MOST_COLUMNS,
        "differences": comparison.differences(run),
        "page": page,
        "rows": rows_of(run, list(page), columns),
        "is_failed_only": is_failed_only,
    }


def _url(page: str, pk: int) -> str:
    return reverse(f"admin:prompts_datasetrun_{page}", args=[pk])
