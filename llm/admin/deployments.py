"""What providers serve, and how it is doing."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from llm import health
from llm.admin import words
from llm.models import Deployment
from llm.routing.strategies import UNKNOWN


class DeploymentList(ChangeList):
    """The deployments of a page, each with its figures: one look at Redis for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Find the rows of the page as ever, and say of each how it is doing."""
        super().get_results(request)
        doing = health.snapshot()
        self.result_list = list(self.result_list)
        for deployment in self.result_list:
            deployment.health = doing.get(deployment.pk, UNKNOWN)
            deployment.reset_url = self._reset_url(request, deployment)
        self.is_redis_away = _is_redis_away()

    def _reset_url(self, request: HttpRequest, deployment: Any) -> str:
        """Return where a reset is sent to; nowhere if there is none to make, or not by them."""
        is_closed = deployment.health.state == "closed"
        if is_closed or not self.model_admin.has_change_permission(request):
            return ""
        address = reverse("admin:llm_deployment_reset", args=[deployment.pk])
        return f"{address}?{request.META['QUERY_STRING']}"


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        *("model", "breaker", "provider"),
        *("calls", "failed", "p50", "p95", "running", "is_active"),
    ]
    list_filter = ["provider", "is_active"]
    list_select_related = ["provider"]
    search_fields = ["model", "provider__name"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DeploymentList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reset_breaker)
        return [path("<int:pk>/reset/", view, name="llm_deployment_reset"), *super().get_urls()]

    def reset_breaker(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Close a deployment's breaker and go back to the list as it was."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        deployment = self.get_object(request, str(pk))
        if not self.has_change_permission(request, deployment):
            raise PermissionDenied
        if deployment is None:
            raise Http404
        health.reset(deployment.pk)
        if _is_redis_away():
            text = f"Redis does not answer: {deployment} is tried again by this process alone."
            self.message_user(request, text, messages.WARNING)
        else:
            self.log_change(request, deployment, "Closed its breaker.")
            self.message_user(request, f"{deployment} is tried again, within a second.")
        query = request.META["QUERY_STRING"]
        return redirect(
            f"{reverse('admin:llm_deployment_changelist')}{'?' if query else ''}{query}"
        )

    @admin.display(description="Breaker")
    def breaker(self, deployment: Any) -> str:
        state = words.breaker(deployment.health)
        if not deployment.reset_url:
            return state
        return format_html(
            '{} <button type="submit" class="button" formnovalidate formaction="{}">'
            'Reset<span class="visually-hidden"> {}</span></button>',
            state,
            deployment.reset_url,
            deployment,
        )

    @admin.display(description="Calls")
    def calls(self, deployment: Any) -> str:
        return words.number(deployment.health.calls) if deployment.health.calls else "none lately"

    @admin.display(description="Failed")
    def failed(self, deployment: Any) -> str:
        if not deployment.health.calls:
            return words.NOTHING
        return f"{deployment.health.error_rate:.1%}"

    @admin.display(description="p50")
    def p50(self, deployment: Any) -> str:
        return words.milliseconds(deployment.health.p50_ttft_ms)

    @admin.display(description="p95")
    def p95(self, deployment: Any) -> str:
        return words.milliseconds(deployment.health.p95_ttft_ms)

    @admin.display(description="Running")
    def running(self, deployment: Any) -> int:
        return int(deployment.health.running)


def _is_redis_away() -> bool:
    try:
        return not get_redis_connection("default").ping()
    except (RedisError, OSError):
        return True
