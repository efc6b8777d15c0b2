"""The API for programs, below `/v1/`: Channels consumers, because Django's handler costs too much there."""

from django.urls import URLPattern

http_urlpatterns: list[URLPattern] = []
