"""What can be done with a provider besides editing it: test it, take a key back."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path

from llm import connection_trial, credentials
from llm.connection_trial import Finding
from llm.errors import AuthenticationFailed, ProviderPermissionDenied
from llm.models import Credential, Provider

# By the code of the error.
REASONS = {
    AuthenticationFailed.code: "the vendor refused it",
    ProviderPermissionDenied.code: "the vendor refused its account",
}


class ProviderTools(ModelAdmin):  # type: ignore[type-arg]
    """Views beside the form; each answers a POST, and goes back to the provider."""

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(self.test_connection)
        again = self.admin_site.admin_view(self.use_key_again)
        return [
            path("<int:pk>/test/", test, name="llm_provider_test"),
            path("<int:pk>/keys/<int:key>/use-again/", again, name="llm_provider_use_again"),
            *super().get_urls(),
        ]

    def test_connection(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Call the vendor with each key, and say what came of it; a key that works is used."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self._provider(request, pk)
        for finding in async_to_sync(connection_trial.try_keys)(provider, list(_keys(provider))):
            if finding.is_good and finding.credential is not None:
                credentials.use_again(finding.credential)
            level = messages.SUCCESS if finding.is_good else messages.ERROR
            self.message_user(request, _said(finding), level)
        return redirect("admin:llm_provider_change", pk)

    def use_key_again(self, request: HttpRequest, pk: int, key: int) -> HttpResponse:
        """Let calls be made with a key that was set aside."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self._provider(request, pk)
        credential = provider.credentials.filter(pk=key).first()
        if credential is None:
            raise Http404
        credentials.use_again(credential)
        self.log_change(request, provider, f"Used the key “{credential.name}” again.")
        text = f"The key “{credential.name}” is used again, within a second."
        self.message_user(request, text, messages.SUCCESS)
        return redirect("admin:llm_provider_change", pk)

    def _provider(self, request: HttpRequest, pk: int) -> Provider:
        provider: Provider | None = self.get_object(request, str(pk))
        if not self.has_change_permission(request, provider):
            raise PermissionDenied
        if provider is None:
            raise Http404
        return provider


def keys_set_aside(provider: Provider | None) -> list[Credential]:
    """Return the keys that are set aside."""
    return [
        key
        for key in (_keys(provider) if provider else ())
        if key.is_active and credentials.is_set_aside(key, credentials.secret_of(key))
    ]


def key_state(credential: Credential) -> str:
    """Say whether calls are made with the key."""
    if not credential.is_active:
        return "switched off"
    secret = credentials.secret_of(credential)
    if not secret:
        return "not to be used: there is no key"
    if not credentials.is_set_aside(credential, secret):
        return "in use"
    reason = REASONS.get(credential.set_aside_reason, credential.set_aside_reason)
    return f"set aside since {credential.set_aside_at:%Y-%m-%d %H:%M} UTC: {reason}"


def _keys(provider: Provider) -> Any:
    return provider.credentials.select_related("provider").order_by("name")


def _said(finding: Finding) -> str:
    key = finding.credential
    return f"Key “{key.name}”: {finding.text}" if key else finding.text
