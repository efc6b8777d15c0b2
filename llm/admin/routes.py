"""The names people ask for, and a dry run of each."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from llm.admin.dry_run import COLUMNS, DryRunForm, cells
from llm.models import Route, RouteDeployment
from llm.routing import dry_run


class RouteForm(forms.ModelForm[Route]):
    def clean(self) -> dict[str, Any]:
        """Refuse a list of organizations that would mean nothing."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        is_for_all, organizations = fields.get("is_for_all"), fields.get("organizations")
        if is_for_all and organizations:
            self.add_error("is_for_all", "Take the tick away, or choose no organization.")
        if not is_for_all and not organizations and "organizations" not in self.errors:
            self.add_error("organizations", "Choose one, or tick “for everybody”.")
        return fields


class RouteDeploymentInline(admin.TabularInline):  # type: ignore[type-arg]
    model = RouteDeployment
    verbose_name = "step"
    verbose_name_plural = "Answered by"
    autocomplete_fields = ["deployment"]
    ordering = ["position", "pk"]
    extra = 1


@admin.register(Route)
class RouteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = RouteForm
    list_display = [
        *("alias", "answered_by", "strategy", "asked_by", "is_listed", "is_cached", "is_active"),
        "description",
    ]
    list_filter = ["is_active", "is_listed", "is_for_all", "strategy", "is_cached"]
    search_fields = ["alias", "description"]
    autocomplete_fields = ["organizations"]
    inlines = [RouteDeploymentInline]
    fieldsets = [
        (None, {"fields": ["alias", "description", "is_active"]}),
        ("Who may ask for it", {"fields": ["is_for_all", "organizations", "is_listed"]}),
        ("Who answers", {"fields": ["strategy", "is_hedged", "is_cached"]}),
    ]

    class Media:
        css = {"all": ["css/admin-llm.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        routes: QuerySet[Route] = super().get_queryset(request)
        return routes.prefetch_related("steps__deployment__provider", "organizations")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.dry_run)
        return [path("<int:pk>/dry-run/", view, name="llm_route_dry_run"), *super().get_urls()]

    def dry_run(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show who would be asked for a request; it is made up in a form that changes nothing."""
        route = self.get_object(request, str(pk))
        if not self.has_view_permission(request, route):
            raise PermissionDenied
        if route is None:
            raise Http404
        form = DryRunForm(request.GET or None)
        explanation = None
        if form.is_valid():
            explanation = dry_run.explain(form.as_request(route.alias), form.as_call())
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dry run of {route}",
            "opts": self.opts,
            "route": route,
            "form": form,
            "explanation": explanation,
            "switched_off": _switched_off(route),
            "columns": COLUMNS,
            "rows": [cells(row) for row in explanation.rows] if explanation else [],
        }
        return TemplateResponse(request, "admin/llm/route/dry_run.html", context)

    @admin.display(description="Answered by, in order")
    def answered_by(self, route: Route) -> str:
        # The steps come in their own order, which is that of the route.
        return ", ".join(str(step.deployment) for step in route.steps.all()) or "nobody"

    @admin.display(description="Asked by")
    def asked_by(self, route: Route) -> str:
        if route.is_for_all:
            return "everybody"
        return ", ".join(str(one) for one in route.organizations.all()) or "nobody"


def _switched_off(route: Route) -> list[str]:
    """Return the deployments that no call finds in the route, although it names them."""
    deployments = (step.deployment for step in route.steps.all())
    return [str(one) for one in deployments if not (one.is_active and one.provider.is_active)]
