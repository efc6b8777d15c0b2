"""What was used, only shown."""

from django.contrib import admin
from django.http import HttpRequest

from billing.admin.usage_filters import Began, Experiment, Provider, Records, Surface, search
from billing.cost_steps import words_of
from billing.models import BudgetPeriod, UsageRecord, UsageState
from billing.money import as_text
from billing.price_json import price_from_json
from billing.prices.changes import CLASSES
from billing.pricing import Tier, rates_for, unknown_to
from core.admin import ReadOnly, ShortPaginator


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
    list_filter = [
        ("started_at", Began),
        "outcome",
        Surface,
        Provider,
        Experiment,
        "is_cache_hit",
        "is_estimated",
        "organization",
    ]
    search_fields = ["request_id"]  # there is a search; `get_search_results` is how
    search_help_text = (
        "A whole request id or experiment, or part of a user, key, model or prompt. The list shows "
        f"the newest {ShortPaginator.MOST:,} records that fit; for older ones narrow the time."
    )
    # Millions of rows: by the key, which is in order of time, and never counted to the end.
    ordering = ["-id"]
    list_select_related = ["organization"]
    paginator = ShortPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fieldsets = (
        (None, {"fields": ["id", "request_id", "attempt", "surface", "started_at"]}),
        ("Who", {"fields": ["organization", "user_name", "api_key_prefix"]}),
        ("What", {"fields": ["prompt", "model_asked", "provider", "model_served", "service_tier"]}),
        ("Experiment", {"fields": ["experiment", "arm", "unit"]}),
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
                    "cache_write_1h_tokens",
                    "output_tokens",
                    "reasoning_tokens",
                    "audio_input_tokens",
                    "audio_output_tokens",
                    "image_input_tokens",
                    "image_output_tokens",
                    "is_estimated",
                ]
            },
        ),
        ("Money", {"fields": ["price_used", "hold", "cost", "budgets"]}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: Records, search_term: str
    ) -> tuple[Records, bool]:
        term = search_term.strip()
        return (search(queryset, term) if term else queryset), False

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
        if record.state == UsageState.STARTED:
            return "running"
        marks = [f"no rate for {what}" for what in _unknown(record)]
        if record.is_estimated:
            marks.insert(0, "estimated")
        amount = "unpriced" if record.cost_usd is None else as_text(record.cost_usd)
        return f"{amount} ({', '.join(marks)})" if marks else amount

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
        rates = rates_for(price, record.usage.total_input, record.service_tier)
        parts = [
            f"{label.lower()} {as_text(usd)}"
            for name, label in CLASSES.items()
            if (usd := getattr(rates, name)) is not None
        ]
        if price.request_usd is not None:
            parts.append(f"fee for the call {as_text(price.request_usd)}")
        if isinstance(rates, Tier):
            parts.append(f"the rates of: {words_of(rates)}")
        return ", ".join(parts)

    @admin.display
    def budgets(self, record: UsageRecord) -> str:
        periods = BudgetPeriod.objects.filter(pk__in=record.budget_period_ids)
        return ", ".join(map(str, periods.select_related("budget"))) or "none"


def _unknown(record: UsageRecord) -> tuple[str, ...]:
    price = price_from_json(record.price)
    return () if price is None else unknown_to(price, record.usage, record.service_tier)
