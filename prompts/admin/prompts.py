"""Where staff find a prompt: its versions, where its labels point, and what is set for it."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Max, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from llm.caching import purges
from prompts.admin import comparing, files, moves, playground
from prompts.admin.editing import views as editing
from prompts.admin.pages import CSS, url_of, user_of
from prompts.models import PRODUCTION, Prompt, PromptLabel
from prompts.releases.history import SAID, label_states

VERSIONS_A_PAGE = 20


@admin.register(Prompt)
class PromptAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Prompts are kept: usage records name them and their versions."""

    list_display = ["name", "organization", "in_production", "newest", "description"]
    list_select_related = ["organization"]
    list_filter = ["organization"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["organization"]
    fieldsets = [
        (None, {"fields": ["organization", "name", "description"]}),
        (
            "Answers that are given again",
            {"fields": ["cache_mode", "cache_seconds", "semantic_threshold", "semantic_model"]},
        ),
    ]
    change_form_template = "admin/prompts/prompt/change.html"
    change_list_template = "admin/prompts/prompt/change_list.html"
    actions = ["purge_cache", "export_selected"]

    class Media:
        css = CSS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.annotate(  # type: ignore[no-any-return]
            newest_number=Max("versions__number"),
            production_number=Max("labels__version__number", filter=Q(labels__name=PRODUCTION)),
        )

    @admin.display(ordering="production_number", empty_value="none")
    def in_production(self, prompt: Any) -> str | None:
        return f"version {prompt.production_number}" if prompt.production_number else None

    @admin.display(ordering="newest_number", empty_value="none")
    def newest(self, prompt: Any) -> str | None:
        return f"version {prompt.newest_number}" if prompt.newest_number else None

    @admin.action(description="Throw away kept answers of the selected", permissions=["change"])
    def purge_cache(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        for prompt in queryset.select_related("organization"):
            purges.purge(
                organization=prompt.organization,
                prompt_name=prompt.name,
                purged_by=user_of(request),
            )
            self.log_change(request, prompt, "Kept answers were thrown away.")
        self.message_user(request, "Done. Every process knows within a second.")

    @admin.action(description="Export the selected as files", permissions=["view"])
    def export_selected(
        self, request: HttpRequest, queryset: QuerySet[Prompt]
    ) -> HttpResponse | None:
        return files.export_selected(request, queryset)

    def get_readonly_fields(self, request: HttpRequest, obj: Prompt | None = None) -> list[str]:
        """Keep the name that callers use."""
        return ["organization", "name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Prompt | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that write, try, release and compare versions."""
        own: list[tuple[str, Any, str]] = [
            ("versions/add/", self.add_version, "add_version"),
            ("versions/preview/", require_POST(editing.live_view), "preview"),
            ("labels/", self.move_label, "move_label"),
            ("labels/rollback/", require_POST(moves.rollback_view), "rollback"),
            ("labels/delete/", require_POST(moves.delete_view), "delete_label"),
            ("moves/", self.moves_page, "moves"),
            (
                "moves/<int:move_id>/<slug:decision>/",
                require_POST(moves.decide_view),
                "decide_move",
            ),
            ("diff/", self.diff_page, "diff"),
            ("playground/", self.playground_page, "playground"),
            ("export/", files.document_view, "export_one"),
        ]
        exchange: list[tuple[str, Any, str]] = [
            ("files/", self.files_page, "files"),
            ("files/export/", files.export_view, "export"),
            ("files/import/", require_POST(self.import_page), "import"),
        ]
        return (
            [
                path(route, self.admin_site.admin_view(view), name=f"prompts_prompt_{name}")
                for route, view, name in exchange
            ]
            + [
                path(
                    f"<int:prompt_id>/{route}",
                    self.admin_site.admin_view(view),
                    name=f"prompts_prompt_{name}",
                )
                for route, view, name in own
            ]
            + super().get_urls()
        )

    def response_add(
        self, request: HttpRequest, obj: Prompt, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead on to the first version: a prompt without one is of no use."""
        if "_save" in request.POST and request.user.has_perm("prompts.add_promptversion"):
            return HttpResponseRedirect(url_of("add_version", obj))
        return super().response_add(request, obj, post_url_continue)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        prompt: Prompt | None = kwargs.get("obj")
        if prompt:
            context |= _versions_and_labels(prompt, request)
        rights = ("add_promptversion", "change_promptlabel", "delete_promptlabel")
        for right in (*rights, "change_labelmove"):
            context[f"may_{right}"] = request.user.has_perm(f"prompts.{right}")
        return super().render_change_form(request, context, *args, **kwargs)

    def add_version(self, request: HttpRequest, prompt_id: int) -> HttpResponse:
        return editing.write_view(self, request, prompt_id)

    def move_label(self, request: HttpRequest, prompt_id: int) -> HttpResponse:
        return moves.move_view(self, request, prompt_id)

    def moves_page(self, request: HttpRequest, prompt_id: int) -> HttpResponse:
        return moves.history_view(self, request, prompt_id)

    def diff_page(self, request: HttpRequest, prompt_id: int) -> HttpResponse:
        return comparing.view(self, request, prompt_id)

    def files_page(self, request: HttpRequest) -> HttpResponse:
        return files.exchange_view(self, request)

    def import_page(self, request: HttpRequest) -> HttpResponse:
        return files.import_view(self, request)

    def playground_page(self, request: HttpRequest, prompt_id: int) -> HttpResponse:
        return playground.view(self, request, prompt_id)


def _versions_and_labels(prompt: Prompt, request: HttpRequest) -> dict[str, Any]:
    """Return what the prompt's own page shows of its versions."""
    labels = Prefetch("labels", PromptLabel.objects.order_by("name"))
    versions = prompt.versions.newest_first().select_related("author").defer(*SAID)
    return {
        "prompt": prompt,
        "tab": "versions",
        "labels": label_states(prompt),
        "page": Paginator(versions.prefetch_related(labels), VERSIONS_A_PAGE).get_page(
            request.GET.get("p")
        ),
    }
