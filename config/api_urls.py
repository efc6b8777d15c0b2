"""All of the REST API, below `/api/`."""

from django.urls import include, path

urlpatterns = [
    path("", include("accounts.api_urls")),
    path("", include("billing.urls")),
    path("", include("prompts.api_urls")),
    path("", include("chat.api_urls")),
    path("", include("gateway.urls")),
]
