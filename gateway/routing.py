"""Addresses of the API for programs: Channels consumers, for Django's handler costs too much."""

from django.urls import URLPattern, path, re_path

from gateway.consumers import ChatCompletions, ModelDetail, ModelList, Nothing
from gateway.embeddings.consumers import EmbeddingsCreate
from gateway.messages import consumers as messages
from gateway.responses.consumer import Responses

http_urlpatterns: list[URLPattern] = [
    path("v1/chat/completions", ChatCompletions.as_asgi()),
    path("v1/embeddings", EmbeddingsCreate.as_asgi()),
    path("v1/messages", messages.Messages.as_asgi()),
    path("v1/messages/count_tokens", messages.TokenCount.as_asgi()),
    re_path(r"^v1/messages/", messages.Nothing.as_asgi()),
    path("v1/models", ModelList.as_asgi()),
    path("v1/models/<path:model>", ModelDetail.as_asgi()),
    path("v1/responses", Responses.as_asgi()),
    re_path(r"^v1(/|$)", Nothing.as_asgi()),
]
