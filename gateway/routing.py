"""Addresses of the API for programs: Channels consumers, for Django's handler costs too much."""

from django.urls import URLPattern, path, re_path

from gateway.batches import consumers as batches
from gateway.consumers import ChatCompletions, ModelDetail, ModelList, Nothing
from gateway.embeddings.consumers import EmbeddingsCreate
from gateway.files import consumers as files
from gateway.messages import consumers as messages
from gateway.messages import models as anthropic_models
from gateway.methods import by_client, by_method
from gateway.responses import consumers as responses

http_urlpatterns: list[URLPattern] = [
    path("v1/batches", by_method(batches.BatchList, batches.BatchCreate)),
    path("v1/batches/<str:batch_id>", batches.BatchDetail.as_asgi()),
    path("v1/batches/<str:batch_id>/cancel", batches.BatchCancel.as_asgi()),
    path("v1/chat/completions", ChatCompletions.as_asgi()),
    path("v1/embeddings", EmbeddingsCreate.as_asgi()),
    path("v1/files", by_method(files.FileList, files.FileUpload)),
    path("v1/files/<str:file_id>", by_method(files.FileDetail, files.FileDelete)),
    path("v1/files/<str:file_id>/content", files.FileContent.as_asgi()),
    path("v1/messages", messages.Messages.as_asgi()),
    path("v1/messages/count_tokens", messages.TokenCount.as_asgi()),
    re_path(r"^v1/messages/", messages.Nothing.as_asgi()),
    path("v1/models", by_client(ModelList, anthropic_models.ModelList)),
    path("v1/models/<path:model>", by_client(ModelDetail, anthropic_models.ModelDetail)),
    path("v1/responses", responses.Responses.as_asgi()),
    path(
        "v1/responses/<str:response_id>",
        by_method(responses.ResponseDetail, responses.ResponseDelete),
    ),
    re_path(r"^v1(/|$)", Nothing.as_asgi()),
]
