"""The sockets of `chat`, below `/ws/`."""

from django.urls import URLPattern, path

from chat.consumers import ChatConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/chat/<uuid:conversation_id>/", ChatConsumer.as_asgi()),
]
