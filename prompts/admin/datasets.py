"""Where staff keep the cases that versions of a prompt should get right."""

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from core.errors import AppError
from prompts.admin.case_forms import CaseEditor
from prompts.admin.pages import user_of
from prompts.models import Case, Dataset, DatasetRun
from prompts.testing import comparison, datasets, importing

RUNS_SHOWN = 10
SUMMARY = 80  # characters of a case's values


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A dataset's page has its cases and its last runs; each case has a page of its own."""

    list_display = ["name", "prompt", "organization", "case_count", "guards_releases"]
    list_select_related = ["prompt__organization"]
    list_filter = ["prompt__organization", "guards_releases"]
    search_fields = ["name", "description", "prompt__name"]
    autocomplete_fields = ["prompt"]
    fields = ["prompt", "name", "description", "guards_releases"]
    change_form_template = "admin/prompts/dataset/change.html"

    class Media:
        css = {"all": ["prompts/admin.css", "prompts/releases.css", "prompts/tests.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.annotate(counted=Count("cases"))  # type: ignore[no-any-return]

    @admin.display(description="Organization", ordering="prompt__organization")
    def organization(self, dataset: Dataset) -> str:
        return str(dataset.prompt.organization)

    @admin.display(description="Cases", ordering="counted")
    def case_count(self, dataset: Any) -> int:
        return int(dataset.counted)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Keep the prompt, whose variables the cases fill."""
        return ["prompt"] if obj else []

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of cases and of their import."""
        own: list[tuple[str, Any, str]] = [
            ("cases/add/", self.case_page, "add_case"),
            ("cases/<int:case_id>/", self.case_page, "case"),
            ("cases/<int:case_id>/delete/", require_POST(self.delete_case), "delete_case"),
            ("import/", self.import_page, "import"),
        ]
        return [
            path(
                f"<int:dataset_id>/{route}",
                self.admin_site.admin_view(view),
                name=f"prompts_dataset_{name}",
            )
            for route, view, name in own
        ] + super().get_urls()

    def response_add(
        self, request: HttpRequest, obj: Dataset, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead on to the dataset's page: it needs cases."""
        if "_save" in request.POST:
            return HttpResponseRedirect(_url("change", obj))
        return super().response_add(request, obj, post_url_continue)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        dataset: Dataset | None = kwargs.get("obj")
        if dataset:
            context["cases"] = [_shown(case) for case in dataset.cases.all()]
            context["runs"] = [_told(run) for run in dataset.runs.all()[:RUNS_SHOWN]]
        for right in ("add_case", "change_case", "delete_case", "add_datasetrun"):
            context[f"may_{right}"] = request.user.has_perm(f"prompts.{right}")
        return super().render_change_form(request, context, *args, **kwargs)

    def case_page(
        self, request: HttpRequest, dataset_id: int, case_id: int | None = None
    ) -> HttpResponse:
        """Show a case or an empty one; save what comes."""
        right = "prompts.add_case" if case_id is None else "prompts.change_case"
        dataset = _dataset_for(request, dataset_id, right)
        case = None if case_id is None else get_object_or_404(dataset.cases, pk=case_id)
        editor = CaseEditor(dataset.prompt, case, request.POST or None)
        if request.method == "POST" and self._save(request, dataset, case, editor):
            name = "add_case" if "_addanother" in request.POST else "change"
            return HttpResponseRedirect(_url(name, dataset))
        title = f"Case “{case}”" if case else "New case"
        return self._page(request, "case", dataset, title=title, case=case, editor=editor)

    def _save(
        self, request: HttpRequest, dataset: Dataset, case: Case | None, editor: CaseEditor
    ) -> bool:
        """Keep what was sent; return whether it could be."""
        unnamed = case.name if case else datasets.next_name(dataset)
        content = editor.content(unnamed=unnamed)
        if content is None:
            return False
        person = user_of(request)
        try:
            if case is None:
                datasets.add_cases(dataset=dataset, contents=[content], by=person)
            else:
                datasets.edit_case(case=case, content=content, by=person)
        except AppError as error:
            editor.problem = error.message
            return False
        self.message_user(request, f"The case “{content.name}” is saved.", messages.SUCCESS)
        return True

    def delete_case(self, request: HttpRequest, dataset_id: int, case_id: int) -> HttpResponseBase:
        """Delete a case; results of runs keep its name."""
        dataset = _dataset_for(request, dataset_id, "prompts.delete_case")
        case = get_object_or_404(dataset.cases, pk=case_id)
        datasets.delete_case(case=case, by=user_of(request))
        self.message_user(request, f"The case “{case}” is deleted.", messages.SUCCESS)
        return HttpResponseRedirect(_url("change", dataset))

    def import_page(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        """Read cases from a file; show what is wrong by line, or keep them all."""
        dataset = _dataset_for(request, dataset_id, "prompts.add_case")
        read, problem = None, ""
        if request.method == "POST":
            try:
                read = _read(request, dataset)
                if not read.problems:
                    made = datasets.add_cases(
                        dataset=dataset, contents=read.contents, by=user_of(request)
                    )
                    self.message_user(request, f"Cases added: {len(made)}.", messages.SUCCESS)
                    return HttpResponseRedirect(_url("change", dataset))
            except AppError as error:
                problem = error.message
        problems = read.problems if read else ()
        return self._page(
            request,
            "import",
            dataset,
            title="Import cases",
            problem=problem,
            problems=problems,
            variables=CaseEditor(dataset.prompt).values.declared.values(),
        )

    def _page(
        self, request: HttpRequest, template: str, dataset: Dataset, **context: Any
    ) -> HttpResponse:
        everything = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "dataset": dataset,
            "may_delete_case": request.user.has_perm("prompts.delete_case"),
            **context,
        }
        return TemplateResponse(request, f"admin/prompts/dataset/{template}.html", everything)


def _read(request: HttpRequest, dataset: Dataset) -> importing.Read:
    file = request.FILES.get("file")
    name, data = (file.name or "", file.read()) if file else ("", b"")
    declared = CaseEditor(dataset.prompt).values.declared.values()
    is_table = not name.lower().endswith((".jsonl", ".ndjson", ".json"))
    return importing.read(data, is_table=is_table, variables=list(declared))


def _dataset_for(request: HttpRequest, dataset_id: int, permission: str) -> Dataset:
    if not request.user.has_perms(["prompts.view_dataset", permission]):
        raise PermissionDenied
    return get_object_or_404(Dataset.objects.select_related("prompt__organization"), pk=dataset_id)


def _shown(case: Case) -> dict[str, Any]:
    """Return a case as the table of its dataset has it."""
    values = ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in case.variables.items()
    )
    kinds = ", ".join(check["kind"].replace("_", " ") for check in case.checks)
    short = values if len(values) <= SUMMARY else f"{values[:SUMMARY]}…"
    return {"case": case, "values": short, "checks": kinds}


def _told(run: DatasetRun) -> dict[str, Any]:
    """Return a run with its pass rate, the worst of its columns."""
    rates = [one.percent for one in comparison.columns(run) if one.percent is not None]
    return {"run": run, "worst": min(rates, default=None)}


def _url(page: str, dataset: Dataset) -> str:
    return reverse(f"admin:prompts_dataset_{page}", args=[dataset.pk])
