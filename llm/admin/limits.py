"""How much callers may ask for, and who has asked for more."""

from typing import Any

from django.contrib import admin

from core.admin import ReadOnly
from llm.admin.words import number
from llm.models import Limit, LimitRefusal


class ScopeFilter(admin.ChoicesFieldListFilter):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "whom it counts for"


@admin.register(Limit)
class LimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "name",
        "applies_to",
        "most_requests",
        "most_tokens",
        "per",
        "parallel",
        "is_active",
    ]
    list_filter = ["is_active", ("scope", ScopeFilter)]
    list_select_related = ["organization", "user", "api_key"]
    search_fields = ["name"]
    autocomplete_fields = ["organization", "user", "api_key"]
    fieldsets = (
        (None, {"fields": ["name", "is_active"]}),
        (
            "Whom it counts for",
            {
                "fields": ["scope", "organization", "user", "api_key"],
                "description": "Name one to limit only that one; otherwise each has a counter of "
                "its own. Several limits apply at once, and the tightest refuses.",
            },
        ),
        ("What is allowed", {"fields": ["requests", "tokens", "seconds", "parallel"]}),
    )

    @admin.display(description="for")
    def applies_to(self, limit: Limit) -> str:
        target = limit.organization or limit.user or limit.api_key
        return f"{limit.get_scope_display()}: {target or 'each'}"

    @admin.display(description="requests", ordering="requests")
    def most_requests(self, limit: Limit) -> str:
        return number(limit.requests)

    @admin.display(description="tokens", ordering="tokens")
    def most_tokens(self, limit: Limit) -> str:
        return number(limit.tokens)

    @admin.display(ordering="seconds")
    def per(self, limit: Limit) -> str:
        names = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}
        return names.get(limit.seconds, f"{limit.seconds:,} seconds")


@admin.register(LimitRefusal)
class LimitRefusalAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who was limited, a row for each minute of it."""

    list_display = [
        *("last_at", "limit_name", "figure", "count"),
        *("organization", "user_name", "api_key_prefix", "ip", "surface"),
    ]
    list_filter = ["limit_name", "figure", "surface", "organization"]
    list_select_related = ["organization"]
    search_fields = ["user_name", "api_key_prefix", "ip"]
    search_help_text = "User, key or address"
    date_hierarchy = "minute"
    show_full_result_count = False
