"""OpenAI's wire format, as OpenAI, Azure and many servers speak it.

The vendor's SDK owns address and credentials. The calls go over aiohttp, which keeps them away from
addresses that nobody may call, and only what is needed is read of the answers: the SDK's models
cost 25 times as much.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from openai import AsyncAzureOpenAI, AsyncOpenAI

from llm.providers import (
    http,
    listing,
    openai_embeddings,
    openai_messages,
    openai_moderation,
    relay,
)
from llm.providers.base import Connection, Deployment, Vectors, Verdict
from llm.providers.openai_stream import ChunkReader
from llm.providers.openai_wire import whole_answer
from llm.types import ChatRequest, Delta, End

OFFICIAL = "https://api.openai.com/v1"
AZURE_API_VERSION = "2024-10-21"
AZURE_V1 = "/openai/v1"
NO_KEY = "none"  # the SDK wants one; a server without keys is sent none
CHAT = "chat/completions"
EMBEDDINGS = "embeddings"
MODERATIONS = "moderations"
MODELS = "models"
COMMON = ("Accept", "Content-Type", "User-Agent")
ONLY_OPENAI = ("OpenAI-Organization", "OpenAI-Project")
PLAIN = ("temperature", "top_p", "seed", "tool_choice", "response_format")

_encode = msgspec.json.Encoder().encode


class OpenAIProvider:
    """OpenAI itself, or any server that speaks its API."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._endpoints: dict[tuple[str, str], http.Endpoint] = {}
        # A third of the bytes; but not every server that speaks the API knows of it.
        self._vector_format = "base64" if self._is_openai else "float"
        self._limit_name = "max_completion_tokens" if self._is_openai else "max_tokens"

    @property
    def _is_openai(self) -> bool:
        """Whether OpenAI itself is asked: then it may know our organization there.

        Its newer models know only the new name of the limit; other servers know only the old one.
        """
        return self._connection.base_url.rstrip("/") in ("", OFFICIAL)

    def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the answer as `Provider.stream` promises, with the vendor's own bytes."""
        body = self._body(request, deployment)
        target = self._endpoint_of(deployment)
        if not request.stream:
            return relay.whole(target, body, deployment.timeouts, whole_answer)
        return relay.streamed(target, body, deployment.timeouts, ChunkReader(target.provider))

    async def embed(
        self, texts: Sequence[str], deployment: Deployment, dimensions: int | None
    ) -> Vectors:
        """Return a vector for each text, in order; raise `ProviderError`."""
        return await openai_embeddings.embed(
            self._endpoint_of(deployment, EMBEDDINGS),
            texts,
            model=deployment.model,
            dimensions=dimensions,
            encoding_format=self._vector_format,
            timeouts=deployment.timeouts,
        )

    async def moderate(self, text: str, deployment: Deployment) -> Verdict:
        """Return what the model finds wrong with the text; raise `ProviderError`."""
        target = self._endpoint_of(deployment, MODERATIONS)
        return await openai_moderation.moderate(
            target, text, model=deployment.model, timeouts=deployment.timeouts
        )

    async def models(self) -> dict[str, int | None]:
        """Return the models that the server offers, with their windows where it tells them."""
        return await listing.models(self._endpoint_at(MODELS))

    def _client(self) -> AsyncOpenAI:
        # Everything is given: what is left out, the SDK takes from variables meant for OpenAI.
        return AsyncOpenAI(
            api_key=self._connection.api_key or NO_KEY,
            base_url=self._connection.base_url or OFFICIAL,
            max_retries=0,
        )

    def _own_headers(self, client: AsyncOpenAI) -> dict[str, str]:
        """Return the SDK's headers; organization and project are OpenAI's business alone."""
        names = (*COMMON, *ONLY_OPENAI) if self._is_openai else COMMON
        known = client.default_headers
        headers = {name: str(known[name]) for name in names if known.get(name)}
        return {**headers, **client.auth_headers} if self._connection.api_key else headers

    def _endpoint_of(self, deployment: Deployment, path: str = CHAT) -> http.Endpoint:
        known = self._endpoints.get((deployment.model, path))
        if known is None:
            known = self._endpoint_at(self._path(deployment, path))
            self._endpoints[deployment.model, path] = known
        return known

    def _endpoint_at(self, path: str) -> http.Endpoint:
        client = self._client()
        url = f"{str(client.base_url).rstrip('/')}/{path}"
        if client.default_query:
            url += f"?{urlencode(client.default_query)}"
        return http.endpoint(self._connection, url, self._own_headers(client))

    def _path(self, deployment: Deployment, path: str) -> str:
        return path

    def _body(self, request: ChatRequest, deployment: Deployment) -> bytes:
        body: dict[str, Any] = {
            **request.extra,
            "model": deployment.model,
            "messages": openai_messages.messages(request.messages),
        }
        for name in PLAIN:
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if request.max_tokens is not None:
            body[self._limit_name] = request.max_tokens
        if request.stop:
            body["stop"] = request.stop
        if request.tools:
            body["tools"] = openai_messages.tools(request.tools)
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return _encode(body)


class AzureProvider(OpenAIProvider):
    """Azure OpenAI: the deployment is part of the address, and the key has a header of its own.

    An address that ends with `/openai/v1` is Azure's newer API: there the deployment is the model.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._vector_format = "base64"
        self._limit_name = "max_completion_tokens"

    @property
    def _is_v1(self) -> bool:
        return self._connection.base_url.rstrip("/").endswith(AZURE_V1)

    def _client(self) -> AsyncOpenAI:
        connection = self._connection
        if self._is_v1:
            return super()._client()
        key = connection.api_key or NO_KEY
        return AsyncAzureOpenAI(
            api_key=None if connection.is_token else key,
            azure_ad_token=key if connection.is_token else None,
            azure_endpoint=connection.base_url.rstrip("/"),
            api_version=connection.api_version or AZURE_API_VERSION,
            max_retries=0,
        )

    def _path(self, deployment: Deployment, path: str) -> str:
        if self._is_v1:
            return path
        return f"deployments/{quote(deployment.model, safe='')}/{path}"
