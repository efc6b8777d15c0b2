"""The sockets of `prompts`, below `/ws/`."""

from django.urls import URLPattern, path

from prompts.playground.consumers import PlaygroundConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/prompts/<int:prompt_id>/playground/", PlaygroundConsumer.as_asgi()),
]
