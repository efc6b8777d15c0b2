"""Alerts: who is told of what, what was told, and what has not arrived."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.formats import date_format
from django.utils.timezone import localtime

from billing.admin.alert_forms import AlertChannelForm, AlertRuleForm
from billing.alerts import channels, delivering
from billing.alerts.message import DeliveryFailed
from billing.models import (
    Alert,
    AlertChannel,
    AlertDelivery,
    AlertRule,
    ChannelKind,
    DeliveryState,
)
from core.admin import ReadOnly


@admin.register(AlertRule)
class AlertRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = AlertRuleForm
    list_display = ["budget", "organization", "percent", "on_forecast", "told", "is_active"]
    list_filter = ["is_active", "on_forecast", "channels", "budget__organization"]
    list_select_related = ["budget__organization"]
    search_fields = ["budget__name", "channels__name"]
    search_help_text = "Budget or channel"
    autocomplete_fields = ["budget", "channels"]
    fields = ["budget", "thresholds", "on_forecast", "channels", "is_active"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("channels")

    @admin.display(ordering="budget__organization__name")
    def organization(self, rule: AlertRule) -> str:
        return str(rule.budget.organization)

    @admin.display(description="At")
    def percent(self, rule: AlertRule) -> str:
        return ", ".join(f"{percent}%" for percent in rule.thresholds) or "–"

    @admin.display(description="Who is told")
    def told(self, rule: AlertRule) -> str:
        return ", ".join(channel.name for channel in rule.channels.all()) or "nobody"


@admin.register(AlertChannel)
class AlertChannelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A channel that has been used stays, for what it was told; it can be switched off."""

    form = AlertChannelForm
    ordering = ["name"]  # counting makes Django forget the model's own
    list_display = [
        "name",
        "kind",
        "leads_to",
        "operations",
        "waiting",
        "given_up",
        "is_active",
    ]
    list_filter = ["kind", "is_active", "takes_operations"]
    search_fields = ["name", "addresses", "host"]
    search_help_text = "Name, e-mail address or host"
    fieldsets = [
        (None, {"fields": ["name", "kind", "is_active", "takes_operations"]}),
        ("For e-mail", {"fields": ["addresses"]}),
        ("For a webhook, and for Slack", {"fields": ["host", "new_url", "new_secret"]}),
    ]
    readonly_fields = ["host"]

    class Media:
        css = {"all": ["css/admin-alerts.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        states = {"waiting": DeliveryState.PENDING, "given_up": DeliveryState.DEAD}
        counts = {
            f"{name}_count": Count("deliveries", filter=Q(deliveries__state=state))
            for name, state in states.items()
        }
        return super().get_queryset(request).annotate(**counts)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Keep what a channel is: its secrets would be those of another kind."""
        return [*self.readonly_fields, "kind"] if obj else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: AlertChannel | None = None) -> Any:
        """Show what is asked of this kind of channel."""
        whole, of_email, of_web = self.fieldsets
        if obj is None:
            return [whole, of_email, (of_web[0], {"fields": ["new_url", "new_secret"]})]
        if obj.kind == ChannelKind.EMAIL:
            return [whole, of_email]
        if obj.kind == ChannelKind.SLACK:
            return [whole, ("Slack", {"fields": ["host", "new_url"]})]
        return [whole, ("Webhook", of_web[1])]

    def save_model(
        self, request: HttpRequest, obj: AlertChannel, form: ModelForm[AlertChannel], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        if made := getattr(form, "made_secret", ""):
            text = f"The signing secret is {made} — copy it now, it cannot be shown again."
            self.message_user(request, text, messages.WARNING)

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(self.test)
        return [path("<int:pk>/test/", test, name="billing_alertchannel_test"), *super().get_urls()]

    def test(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test now, and say what came of it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        channel: AlertChannel | None = self.get_object(request, str(pk))
        if not self.has_change_permission(request, channel):
            raise PermissionDenied
        if channel is None:
            raise Http404
        try:
            channels.send_test(channel)
        except DeliveryFailed as failure:
            self.message_user(request, f"The test did not arrive. {failure}", messages.ERROR)
        else:
            text = f"The test was taken by {_leads_to(channel)}."
            self.message_user(request, text, messages.SUCCESS)
        return redirect("admin:billing_alertchannel_change", pk)

    @admin.display(description="Leads to")
    def leads_to(self, channel: AlertChannel) -> str:
        return _leads_to(channel)

    @admin.display(boolean=True, ordering="takes_operations")
    def operations(self, channel: AlertChannel) -> bool:
        return channel.takes_operations

    @admin.display(ordering="waiting_count")
    def waiting(self, channel: Any) -> int:
        return int(channel.waiting_count)

    @admin.display(ordering="given_up_count")
    def given_up(self, channel: Any) -> int:
        return int(channel.given_up_count)


class AlertDeliveryInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = AlertDelivery
    verbose_name_plural = "who was told"
    fields = ["channel", "state", "attempts", "sent_at", "next_try", "last_error"]
    readonly_fields = ["next_try"]
    extra = 0

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("alert", "channel").order_by("pk")

    @admin.display(description="Next try")
    def next_try(self, delivery: AlertDelivery) -> str:
        return _next_try(delivery)


@admin.register(Alert)
class AlertAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What happened, once each."""

    list_display = ["created_at", "title", "kind", "organization", "told"]
    list_display_links = ["title"]
    list_filter = ["kind", "deliveries__state", "organization"]
    list_select_related = ["organization"]
    search_fields = ["title", "text"]
    date_hierarchy = "created_at"
    fields = ["title", "text", "kind", "organization", "budget", "created_at", "id"]
    inlines = [AlertDeliveryInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("deliveries__channel")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Say first what has not arrived."""
        dead = {"dead_count": AlertDelivery.objects.dead().count()}
        return super().changelist_view(request, {**(extra_context or {}), **dead})

    @admin.display(description="Who was told")
    def told(self, alert: Alert) -> str:
        said = (f"{one.channel}: {one.get_state_display()}" for one in alert.deliveries.all())
        return "; ".join(said) or "nobody"


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What is on its way, has arrived, or was given up after a day."""

    list_display = [
        *("alert", "channel", "state", "last_error", "attempts", "next_try", "sent_at"),
    ]
    list_filter = ["state", "channel", "alert__kind"]
    list_select_related = ["alert", "channel"]
    search_fields = ["alert__title", "channel__name"]
    search_help_text = "Alert or channel"
    date_hierarchy = "queued_at"
    fields = [
        *("alert", "channel", "state", "attempts", "queued_at", "next_try", "sent_at"),
        "last_error",
    ]
    readonly_fields = ["next_try"]
    actions = ["send_again"]

    class Media:
        css = {"all": ["css/admin-alerts.css"]}

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_alertdelivery")

    @admin.action(description="Send again what was given up", permissions=["send_again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[AlertDelivery]) -> None:
        count = delivering.send_again(queryset)
        text = f"On their way again, for another day: {count}."
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    @admin.display(description="Next try", ordering="next_try_at")
    def next_try(self, delivery: AlertDelivery) -> str:
        return _next_try(delivery)


def _leads_to(channel: AlertChannel) -> str:
    return ", ".join(channel.recipients) or channel.host or "nowhere"


def _next_try(delivery: AlertDelivery) -> str:
    """Say when; nothing where it is not tried any more."""
    if delivery.state != DeliveryState.PENDING:
        return "–"
    return date_format(localtime(delivery.next_try_at), "DATETIME_FORMAT")
