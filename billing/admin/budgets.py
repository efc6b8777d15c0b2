"""Budgets: their limits are edited, their amounts are the ledger's."""

from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q
from django.http import HttpRequest
from django.utils import timezone

from billing.currency import shown
from billing.models import Budget, BudgetPeriod
from billing.models.budgets import CALENDAR, DIMENSIONS, FIXED
from core.admin import ReadOnly

A_YEAR = timedelta(days=366)


class BudgetPeriodInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The last year; the amounts are the ledger's."""

    model = BudgetPeriod
    verbose_name_plural = "periods of the last year"
    fields = ["starts_at", "ends_at", "spent", "held", "overrun"]
    readonly_fields = ["spent", "held", "overrun"]
    ordering = ["-starts_at"]
    extra = 0

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .filter(Q(ends_at=None) | Q(ends_at__gt=timezone.now() - A_YEAR))
        )

    @admin.display
    def spent(self, period: BudgetPeriod) -> str:
        return shown(period.spent_usd)

    @admin.display
    def held(self, period: BudgetPeriod) -> str:
        return shown(period.held_usd)

    @admin.display(description="beyond what was held")
    def overrun(self, period: BudgetPeriod) -> str:
        return shown(period.overrun_usd)


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A limit that is changed is in force with the very next call."""

    list_display = [
        "name",
        "organization",
        "counts",
        "period",
        "limit",
        "spent",
        "held",
        "room",
        "is_hard",
        "is_active",
    ]
    list_select_related = ["organization", "user", "api_key"]
    list_filter = ["organization", "period", "is_hard", "is_active"]
    search_fields = ["name", "prompt_name", "model", "tag"]
    search_help_text = "Budget, prompt, model or tag"
    autocomplete_fields = ["organization", "user", "api_key"]
    readonly_fields = ["spent", "held", "room"]
    inlines = [BudgetPeriodInline]
    fieldsets = (
        (None, {"fields": ["name", "limit_usd", "is_hard", "is_active"]}),
        ("Now", {"fields": ["spent", "held", "room"]}),
        (
            "Which calls it counts",
            {
                "fields": DIMENSIONS,
                "description": "All calls of the organization that have everything named here: "
                "with a person and a tag, that person's calls with that tag. " + FIXED,
            },
        ),
        ("When it starts anew", {"fields": CALENDAR, "description": FIXED}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        current = Prefetch("periods", BudgetPeriod.objects.current(), to_attr="current_periods")
        return super().get_queryset(request).prefetch_related(current)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show amounts of a budget that there is."""
        return [part for part in self.fieldsets or () if obj or part[0] != "Now"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Keep what a budget counts and its calendar: what it has counted would be wrong."""
        fixed = [*DIMENSIONS, *CALENDAR] if obj else []
        return [*self.readonly_fields, *fixed]

    @admin.display
    def counts(self, budget: Budget) -> str:
        """Say which calls of the organization it counts."""
        named = {
            "person": budget.user and budget.user.username,
            "key": budget.api_key and budget.api_key.prefix,
            "prompt": budget.prompt_name,
            "model": budget.model,
            "tag": budget.tag,
        }
        return ", ".join(f"{what} {name}" for what, name in named.items() if name) or "every call"

    @admin.display(ordering="limit_usd")
    def limit(self, budget: Budget) -> str:
        return shown(budget.limit_usd)

    @admin.display
    def spent(self, budget: Budget) -> str:
        return shown(_now(budget).spent_usd)

    @admin.display
    def held(self, budget: Budget) -> str:
        return shown(_now(budget).held_usd)

    @admin.display
    def room(self, budget: Budget) -> str:
        period = _now(budget)
        left = max(Decimal(0), budget.limit_usd - period.spent_usd - period.held_usd)
        return shown(left, rounding=ROUND_DOWN)


def _now(budget: Any) -> BudgetPeriod:
    """Return the period that is running; a period without a row has seen nothing."""
    nothing = BudgetPeriod(spent_usd=Decimal(0), held_usd=Decimal(0))
    return next(iter(getattr(budget, "current_periods", [])), nothing)
