"""Providers, what they serve, and the names people ask for."""

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from llm import credentials
from llm.models import Deployment, Provider, Route, RouteDeployment


class ProviderForm(forms.ModelForm[Provider]):
    """Takes a new key and never shows the stored one."""

    new_api_key = forms.CharField(
        label="New API key",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, and not shown again. Empty: the stored key stays.",
    )
    forget_api_key = forms.BooleanField(label="Forget the stored key", required=False)

    class Meta:
        model = Provider
        fields = ["name", "kind", "base_url", "api_version", "api_key_env", "is_active"]

    def save(self, commit: bool = True) -> Provider:
        if new_api_key := self.cleaned_data["new_api_key"]:
            self.instance.api_key_encrypted = credentials.encrypt(new_api_key)
        elif self.cleaned_data["forget_api_key"]:
            self.instance.api_key_encrypted = ""
        return super().save(commit)


class DeploymentInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Deployment
    extra = 0


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ProviderForm
    list_display = ["name", "kind", "base_url", "key", "is_active"]
    list_filter = ["kind", "is_active"]
    search_fields = ["name", "base_url"]
    fields = [
        *("name", "kind", "base_url", "api_version", "is_active"),
        *("key", "api_key_env", "new_api_key", "forget_api_key"),
    ]
    readonly_fields = ["key"]
    inlines = [DeploymentInline]

    @admin.display(description="API key")
    def key(self, provider: Provider) -> str:
        return credentials.source(provider)


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["model", "provider", "context_tokens", "max_output_tokens", "is_active"]
    list_filter = ["provider", "is_active"]
    list_select_related = ["provider"]
    search_fields = ["model", "provider__name"]


class RouteDeploymentInline(admin.TabularInline):  # type: ignore[type-arg]
    model = RouteDeployment
    autocomplete_fields = ["deployment"]
    ordering = ["position", "pk"]
    extra = 1


@admin.register(Route)
class RouteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["alias", "answered_by", "is_cached", "is_active", "description"]
    list_filter = ["is_active", "is_cached"]
    search_fields = ["alias", "description"]
    inlines = [RouteDeploymentInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        return super().get_queryset(request).prefetch_related("steps__deployment__provider")

    @admin.display(description="Answered by, in order")
    def answered_by(self, route: Route) -> str:
        # The steps come in their own order, which is that of the route.
        return ", ".join(str(step.deployment) for step in route.steps.all()) or "nobody"
