"""The moves of all labels of all prompts: what waits for somebody, and what was done."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import ReadOnly
from prompts.admin.pages import url_of
from prompts.models import LabelMove
from prompts.releases.history import HEAVY, HEAVY_BEFORE


@admin.register(LabelMove)
class LabelMoveAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Moves are shown here; they are made and decided on the page of their prompt."""

    list_display = [
        *("created_at", "prompt_link", "label", "versions", "state"),
        *("proposed_by", "decided_by", "note"),
    ]
    list_display_links = None
    list_select_related = ["prompt", "version", "previous_version", "proposed_by", "decided_by"]
    list_filter = ["state", "label", "prompt__organization"]
    search_fields = ["prompt__name", "note"]
    date_hierarchy = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*HEAVY, *HEAVY_BEFORE)

    @admin.display(description="Prompt", ordering="prompt__name")
    def prompt_link(self, move: LabelMove) -> SafeString:
        return format_html('<a href="{}">{}</a>', url_of("change", move.prompt), move.prompt)

    @admin.display(description="Versions")
    def versions(self, move: LabelMove) -> str:
        before = f"{move.previous_version.number} to " if move.previous_version else "to "
        return f"{before}{move.version.number}"
