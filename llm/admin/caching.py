"""What the cache saves, throwing answers away, and answers that were reported as wrong."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat

from accounts.models import Organization, User
from core.admin import ReadOnly
from llm.caching import figures, purges
from llm.caching.figures import Figures
from llm.models import CachePurge, SemanticHit

COLUMNS = (
    *("Organization", "Model", "From the cache", "Of it shared", "Of it similar"),
    *("Made anew", "Hit rate", "Saved, USD", "Kept", "Size"),
)
MOST_ROWS = 100


@admin.register(CachePurge)
class CachePurgeAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The cache: its figures, and every purge. A purge is made by adding one, and stays."""

    list_display = ["purged_at", "what", "purged_by"]
    list_select_related = ["organization", "purged_by"]
    fields = ["organization", "alias", "prompt_name"]
    autocomplete_fields = ["organization"]
    actions = None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = figures.report()
        rows = _rows(found[:MOST_ROWS]) if found else []
        shown = {"title": "Cache", "is_redis_away": found is None, "columns": COLUMNS, "rows": rows}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        shown = {"title": "Throw kept answers away"}
        return super().add_view(request, form_url, {**shown, **(extra_context or {})})

    def save_model(
        self, request: HttpRequest, obj: CachePurge, form: ModelForm[CachePurge], change: bool
    ) -> None:
        """Purge; the row says what and by whom."""
        assert isinstance(request.user, User)  # noqa: S101 - the admin lets in nobody else
        made = purges.purge(
            organization=obj.organization,
            alias=obj.alias,
            prompt_name=obj.prompt_name,
            purged_by=request.user,
        )
        obj.pk = made.pk

    @admin.display(description="What was thrown away")
    def what(self, purge: CachePurge) -> str:
        return f"Answers of {purge}" if str(purge) != "everything" else "Everything"

    def has_change_permission(self, request: HttpRequest, obj: CachePurge | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CachePurge | None = None) -> bool:
        return False


class ReportedFilter(admin.SimpleListFilter):
    title = "reported as wrong"
    parameter_name = "reported"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[SemanticHit]
    ) -> QuerySet[SemanticHit]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(reported_at__isnull=self.value() == "no")


@admin.register(SemanticHit)
class SemanticHitAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Answers given to a similar question. Those reported as wrong say whether it is too low."""

    list_display = [
        *("created_at", "organization", "prompt", "alias", "how_similar", "threshold"),
        *("reported_at", "reported_by"),
    ]
    list_select_related = ["organization"]
    list_filter = [ReportedFilter, "organization", "prompt_name"]
    search_fields = ["usage_id", "prompt_name"]
    fields = (
        *("usage_id", "created_at", "organization", "prompt", "alias", "embedding_model"),
        *("how_similar", "threshold", "reported_at", "reported_by"),
    )

    @admin.display(ordering="prompt_name")
    def prompt(self, hit: SemanticHit) -> str:
        return f"{hit.prompt_name} v{hit.prompt_version}"

    @admin.display(description="Similarity", ordering="similarity")
    def how_similar(self, hit: SemanticHit) -> str:
        return f"{hit.similarity:.3f}"


def _rows(found: Sequence[Figures]) -> list[list[tuple[str, str]]]:
    """Return each row as pairs of column and text, with names for the organizations."""
    names = Organization.objects.in_bulk({one.organization_id for one in found})
    return [list(zip(COLUMNS, _texts(one, names), strict=True)) for one in found]


def _texts(one: Figures, names: dict[int, Organization]) -> list[str]:
    rate = one.hit_rate
    organization = names.get(one.organization_id)
    return [
        str(organization) if organization else f"No. {one.organization_id}",
        one.alias,
        *map(intcomma, (one.answered, one.shared, one.semantic, one.miss)),
        "–" if rate is None else f"{rate:.1%}",
        f"{one.saved_usd:.4f}",
        intcomma(one.entries),
        filesizeformat(one.bytes),
    ]
