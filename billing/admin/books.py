"""What looking the books over has found, only shown."""

from django.contrib import admin
from django.template.defaultfilters import pluralize

from billing.models import BookCheck, Overrun
from billing.money import as_text
from core.admin import ReadOnly


@admin.register(Overrun)
class OverrunAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Calls that cost more than was held for them, and corrections beyond a hard limit.

    A row for each budget they count on.
    """

    list_display = ["created_at", "cause", "budget", "held", "cost", "over"]
    list_filter = ["period__budget__organization"]
    list_select_related = ["period__budget", "correction"]
    search_fields = ["=usage_id", "period__budget__name"]
    search_help_text = "Id of the usage record, or budget"
    date_hierarchy = "created_at"
    fields = ["created_at", "usage_id", "correction", "budget", "period", "held", "cost", "over"]

    @admin.display(description="call or correction")
    def cause(self, overrun: Overrun) -> str:
        return str(overrun.correction or overrun.usage_id)

    @admin.display(ordering="period__budget__name")
    def budget(self, overrun: Overrun) -> str:
        return overrun.period.budget.name

    @admin.display(ordering="held_usd")
    def held(self, overrun: Overrun) -> str:
        return as_text(overrun.held_usd)

    @admin.display(ordering="cost_usd")
    def cost(self, overrun: Overrun) -> str:
        return as_text(overrun.cost_usd)

    @admin.display(ordering="over_usd")
    def over(self, overrun: Overrun) -> str:
        return as_text(overrun.over_usd)


@admin.register(BookCheck)
class BookCheckAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every night's look at the books, and those that somebody asked for."""

    list_display = ["started_at", "verdict", "duration", "night"]
    fields = ["started_at", "night", "duration", "verdict", "what_differs"]

    @admin.display(ordering="difference_count")
    def verdict(self, check: BookCheck) -> str:
        if not check.difference_count:
            return "The books balance."
        return f"{check.difference_count:,} difference{pluralize(check.difference_count)}"

    @admin.display(ordering="duration_ms")
    def duration(self, check: BookCheck) -> str:
        return f"{check.duration_ms:,} ms"

    @admin.display(empty_value="nothing")
    def what_differs(self, check: BookCheck) -> str | None:
        return "\n".join(check.lines) or None
