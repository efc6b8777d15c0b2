"""The sockets of `chat`, below `/ws/`."""

from django.urls import URLPattern

websocket_urlpatterns: list[URLPattern] = []
