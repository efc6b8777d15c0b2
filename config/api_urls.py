"""All of the REST API, below `/api/`."""

from django.urls import include, path

from config.docs import Schema

urlpatterns = [
    path("schema/", Schema.as_view(), name="schema"),
    path("", include("accounts.api_urls")),
    path("", include("billing.urls")),
    path("", include("prompts.api_urls")),
    path("", include("chat.api_urls")),
    path("", include("gateway.urls")),
]
