"""Providers, their keys and what they serve."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from llm import credentials, presets
from llm.admin.provider_forms import CredentialForm, CredentialFormSet, ProviderForm
from llm.admin.provider_tools import ProviderTools, key_state, keys_set_aside
from llm.models import Credential, Deployment, Provider
from llm.presets import PRESETS, Preset


class CredentialInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Credential
    form = CredentialForm
    formset = CredentialFormSet
    verbose_name_plural = "Keys"
    fields = [
        *("name", "environment_variable", "new_secret"),
        *(("weight", "is_active"), ("comes_from", "state")),
    ]
    readonly_fields = ["comes_from", "state"]

    def get_extra(self, request: HttpRequest, obj: Provider | None = None, **kwargs: object) -> int:
        return 0 if obj else 1

    @admin.display(description="Comes from")
    def comes_from(self, credential: Credential) -> str:
        return credentials.source(credential) if credential.pk else "–"

    @admin.display(description="State")
    def state(self, credential: Credential) -> str:
        return key_state(credential) if credential.pk else "–"


class DeploymentInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Deployment
    fields = ["model", "context_tokens", "max_output_tokens", "is_active"]
    show_change_link = True
    extra = 0


@admin.register(Provider)
class ProviderAdmin(ProviderTools):
    list_display = ["name", "kind", "base_url", "keys", "is_active"]
    list_filter = ["kind", "is_active"]
    search_fields = ["name", "base_url"]
    form = ProviderForm
    inlines = [CredentialInline, DeploymentInline]
    actions = ["use_again"]
    add_form_template = "admin/llm/provider/add_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        providers: QuerySet[Provider] = super().get_queryset(request)
        return providers.prefetch_related("credentials")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer the presets, or what can be done with the provider."""
        obj = kwargs.get("obj")
        context |= {
            "presets": presets.ALL,
            "preset": _preset(request),
            "keys_set_aside": [(key, key_state(key)) for key in keys_set_aside(obj)],
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with what the preset of the address says."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        if preset := _preset(request):
            fields = {"name": preset.name, "kind": preset.kind, "base_url": preset.base_url}
            initial |= fields
        return initial

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Provider, inline: Any, prefix: str
    ) -> dict[str, Any]:
        # Only when the form is shown: what is sent as it was shown counts as unchanged otherwise.
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        preset = _preset(request)
        if isinstance(inline, CredentialInline) and preset and request.method == "GET":
            variable = preset.environment_variable
            kwargs["initial"] = [{"name": "main", "environment_variable": variable}]
        return kwargs

    @admin.display(description="Keys")
    def keys(self, provider: Provider) -> str:
        if rows := provider.credentials.all():
            return "; ".join(f"{row.name}: {key_state(row)}" for row in rows)
        needs_key = presets.needs_key(provider.kind, provider.base_url)
        return "none, and it needs one" if needs_key else "none"

    @admin.action(description="Use keys that were set aside again", permissions=["change"])
    def use_again(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        rows = Credential.objects.filter(provider__in=queryset).exclude(set_aside_at=None)
        for row in rows:
            credentials.use_again(row)
        self.message_user(request, f"Keys that are used again: {len(rows)}.", messages.SUCCESS)


def _preset(request: HttpRequest) -> Preset | None:
    return PRESETS.get(request.GET.get("preset", ""))
