"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from billing import prices
from billing.models import Budget, BudgetPeriod, Price, UsageRecord
from billing.money import as_text
from billing.price_json import price_from_json
from core.admin import ReadOnly

A_YEAR = timedelta(days=366)


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """One row for each attempt at a model."""

    list_display = [
        "started_at",
        "surface",
        "caller",
        "prompt",
        "model_served",
        "tokens",
        "cost",
        "first_token",
        "outcome_shown",
    ]
    list_filter = ["outcome", "surface", "provider", "is_cache_hit", "is_estimated", "organization"]
    search_fields = ["request_id", "user_name", "api_key_prefix", "model_served", "prompt_name"]
    search_help_text = "Request id, user, key, model or prompt"
    date_hierarchy = "started_at"
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ["id", "request_id", "attempt", "surface", "started_at"]}),
        ("Who", {"fields": ["organization", "user_name", "api_key_prefix"]}),
        ("What", {"fields": ["prompt", "model_asked", "provider", "model_served"]}),
        (
            "How it ended",
            {
                "fields": [
                    "state",
                    "outcome_shown",
                    "finish_reason",
                    "error_class",
                    "is_cache_hit",
                    "ttft_ms",
                    "duration_ms",
                ]
            },
        ),
        (
            "Tokens",
            {
                "fields": [
                    "input_tokens",
                    "cached_input_tokens",
                    "cache_write_tokens",
                    "output_tokens",
                    "reasoning_tokens",
                    "is_estimated",
                ]
            },
        ),
        ("Money", {"fields": ["price_used", "hold", "cost", "budgets"]}),
    )

    @admin.display(ordering="user_name")
    def caller(self, record: UsageRecord) -> str:
        return record.user_name or record.api_key_prefix

    @admin.display(ordering="prompt_name")
    def prompt(self, record: UsageRecord) -> str:
        return f"{record.prompt_name} v{record.prompt_version}" if record.prompt_name else ""

    @admin.display(description="tokens in, out")
    def tokens(self, record: UsageRecord) -> str:
        usage = record.usage
        return f"{usage.total_input:,} → {usage.total_output:,}"

    @admin.display(ordering="ttft_ms", description="first token")
    def first_token(self, record: UsageRecord) -> str:
        return "" if record.ttft_ms is None else f"{record.ttft_ms:,} ms"

    @admin.display(ordering="cost_usd", description="cost")
    def cost(self, record: UsageRecord) -> str:
        if record.cost_usd is not None:
            return f"{as_text(record.cost_usd)}{' (estimated)' if record.is_estimated else ''}"
        return "running" if record.state == "started" else "unpriced"

    @admin.display(description="held before the call")
    def hold(self, record: UsageRecord) -> str:
        return as_text(record.hold_usd)

    @admin.display(ordering="outcome", description="outcome")
    def outcome_shown(self, record: UsageRecord) -> str:
        return record.get_outcome_display()

    @admin.display(description="price, per million tokens")
    def price_used(self, record: UsageRecord) -> str:
        price = price_from_json(record.price)
        if price is None:
            return "This model has no price."
        parts = [f"input {as_text(price.input_usd)}", f"output {as_text(price.output_usd)}"]
        if price.cached_input_usd is not None:
            parts.append(f"cached input {as_text(price.cached_input_usd)}")
        if price.cache_write_usd is not None:
            parts.append(f"cache write {as_text(price.cache_write_usd)}")
        return ", ".join(parts)

    @admin.display
    def budgets(self, record: UsageRecord) -> str:
        periods = BudgetPeriod.objects.filter(pk__in=record.budget_period_ids)
        return ", ".join(map(str, periods.select_related("budget"))) or "none"


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A price is never edited: adding a new one ends the one before."""

    list_display = [
        "provider",
        "model",
        "input_shown",
        "cached_input_shown",
        "cache_write_shown",
        "output_shown",
        "valid_from",
        "valid_to",
        "source",
    ]
    list_filter = ["provider"]
    search_fields = ["provider", "model"]
    fields = [
        "provider",
        "model",
        "input_usd",
        "cached_input_usd",
        "cache_write_usd",
        "output_usd",
    ]

    @admin.display(description="input", ordering="input_usd")
    def input_shown(self, price: Price) -> str:
        return as_text(price.input_usd)

    @admin.display(description="cached input", ordering="cached_input_usd", empty_value="as input")
    def cached_input_shown(self, price: Price) -> str | None:
        return None if price.cached_input_usd is None else as_text(price.cached_input_usd)

    @admin.display(description="cache write", ordering="cache_write_usd", empty_value="as input")
    def cache_write_shown(self, price: Price) -> str | None:
        return None if price.cache_write_usd is None else as_text(price.cache_write_usd)

    @admin.display(description="output", ordering="output_usd")
    def output_shown(self, price: Price) -> str:
        return as_text(price.output_usd)

    def save_model(
        self, request: HttpRequest, obj: Price, form: ModelForm[Price], change: bool
    ) -> None:
        added = prices.set_price(
            provider=obj.provider,
            model=obj.model,
            input_usd=obj.input_usd,
            output_usd=obj.output_usd,
            cached_input_usd=obj.cached_input_usd,
            cache_write_usd=obj.cache_write_usd,
            source=f"admin, {request.user}",
        )
        obj.pk = added.pk

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BudgetPeriodInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The last year; the amounts are the ledger's."""

    model = BudgetPeriod
    verbose_name_plural = "periods of the last year"
    fields = ["starts_at", "ends_at", "spent", "held"]
    readonly_fields = ["spent", "held"]
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
        return as_text(period.spent_usd)

    @admin.display
    def held(self, period: BudgetPeriod) -> str:
        return as_text(period.held_usd)


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A limit that is changed is in force with the very next call."""

    list_display = [
        "name",
        "organization",
        "user",
        "api_key",
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
    search_fields = ["name"]
    autocomplete_fields = ["organization", "user", "api_key"]
    readonly_fields = ["spent", "held", "room"]
    inlines = [BudgetPeriodInline]
    fieldsets = (
        (None, {"fields": ["name", "limit_usd", "is_hard", "is_active"]}),
        ("Now", {"fields": ["spent", "held", "room"]}),
        (
            "Whose and when",
            {
                "fields": ["organization", "user", "api_key", "period", "time_zone"],
                "description": "With a user or a key it limits only what they spend. This cannot "
                "be changed later: add another budget instead.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        current = Prefetch("periods", BudgetPeriod.objects.current(), to_attr="current_periods")
        return super().get_queryset(request).prefetch_related(current)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show amounts of a budget that there is."""
        return [part for part in self.fieldsets or () if obj or part[0] != "Now"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Keep whose a budget is and its calendar: what it has counted would be wrong."""
        fixed = ["organization", "user", "api_key", "period", "time_zone"] if obj else []
        return [*self.readonly_fields, *fixed]

    @admin.display(ordering="limit_usd")
    def limit(self, budget: Budget) -> str:
        return as_text(budget.limit_usd)

    @admin.display
    def spent(self, budget: Budget) -> str:
        return as_text(_now(budget).spent_usd)

    @admin.display
    def held(self, budget: Budget) -> str:
        return as_text(_now(budget).held_usd)

    @admin.display
    def room(self, budget: Budget) -> str:
        period = _now(budget)
        return as_text(max(Decimal(0), budget.limit_usd - period.spent_usd - period.held_usd))


def _now(budget: Any) -> BudgetPeriod:
    """Return the period that is running; a period without a row has seen nothing."""
    nothing = BudgetPeriod(spent_usd=Decimal(0), held_usd=Decimal(0))
    return next(iter(getattr(budget, "current_periods", [])), nothing)
