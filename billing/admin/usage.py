"""What was used, only shown."""

from django.contrib import admin

from billing.models import BudgetPeriod, UsageRecord
from billing.money import as_text
from billing.price_json import price_from_json
from core.admin import ReadOnly


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
