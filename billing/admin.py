"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from billing import prices
from billing.models import Budget, BudgetPeriod, Price, UsageRecord
from billing.money import as_text
from billing.price_json import price_from_json


class ReadOnly:
    """What is history cannot be added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """One row for each attempt at a model."""

    list_display = [
        "started_at",
        "surface",
        "caller",
        "model_served",
        "prompt",
        "tokens_in",
        "tokens_out",
        "cost",
        "ttft_ms",
        "duration_ms",
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
        ("Money", {"fields": ["price_used", "hold_usd", "cost", "budgets"]}),
    )

    @admin.display(ordering="user_name")
    def caller(self, record: UsageRecord) -> str:
        return record.user_name or record.api_key_prefix

    @admin.display(ordering="prompt_name")
    def prompt(self, record: UsageRecord) -> str:
        return f"{record.prompt_name} v{record.prompt_version}" if record.prompt_name else ""

    @admin.display(description="in")
    def tokens_in(self, record: UsageRecord) -> int:
        return record.input_tokens + record.cached_input_tokens + record.cache_write_tokens

    @admin.display(description="out")
    def tokens_out(self, record: UsageRecord) -> int:
        return record.output_tokens + record.reasoning_tokens

    @admin.display(ordering="cost_usd", description="cost")
    def cost(self, record: UsageRecord) -> str:
        if record.cost_usd is not None:
            return f"{as_text(record.cost_usd)}{' (estimated)' if record.is_estimated else ''}"
        return "running" if record.state == "started" else "unpriced"

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

    list_display = ["provider", "model", "input_usd", "output_usd", "valid_from", "valid_to"]
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
    model = BudgetPeriod
    fields = ["starts_at", "ends_at", "spent_usd", "held_usd"]
    ordering = ["-starts_at"]
    extra = 0


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A limit that is changed is in force with the very next call."""

    list_display = [
        "name",
        "organization",
        "user",
        "api_key",
        "limit",
        "period",
        "is_hard",
        "spent",
    ]
    list_select_related = ["organization", "user", "api_key"]
    list_filter = ["organization", "period", "is_hard", "is_active"]
    search_fields = ["name"]
    autocomplete_fields = ["organization", "user", "api_key"]
    inlines = [BudgetPeriodInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("periods")

    @admin.display(ordering="limit_usd")
    def limit(self, budget: Budget) -> str:
        return as_text(budget.limit_usd)

    @admin.display(description="spent (and held) now")
    def spent(self, budget: Budget) -> str:
        now = timezone.now()
        for period in budget.periods.all():
            if period.starts_at <= now and (period.ends_at is None or now < period.ends_at):
                return f"{as_text(period.spent_usd)} ({as_text(period.held_usd)})"
        return "$0.00"
