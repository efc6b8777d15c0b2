"""OpenAI's wire format, as OpenAI, Azure and many servers speak it.

The vendor's SDK owns address and credentials and makes the calls that are not hot. Chat completions
go over aiohttp, and only what is needed is read of their chunks: the SDK's models cost 25 times
as much.
"""

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from openai import APIError, AsyncAzureOpenAI, AsyncOpenAI

from llm.errors import ConnectionFailed
from llm.providers import http
from llm.providers.base import Connection, Deployment
from llm.providers.openai_wire import ChunkReader, whole_answer
from llm.types import ChatRequest, Delta, End

OFFICIAL = "https://api.openai.com/v1"
AZURE_API_VERSION = "2024-10-21"
NO_KEY = "none"  # the SDK wants one; a server without keys is sent none
LIST_SECONDS = 5.0  # patience when models are listed
COMMON = ("Accept", "Content-Type", "User-Agent")
ONLY_OFFICIAL = ("OpenAI-Organization", "OpenAI-Project")
PLAIN = ("temperature", "top_p", "seed", "tool_choice", "response_format")

_encode = msgspec.json.Encoder().encode


class OpenAIProvider:
    """OpenAI itself, or any server that speaks its API."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Its newer models know only the new name of the limit; other servers know only the old one.
        self._is_official = connection.base_url.rstrip("/") in ("", OFFICIAL)
        client = self._client()
        self._headers = self._own_headers(client)
        url = f"{str(client.base_url).rstrip('/')}/chat/completions"
        self._endpoint = http.endpoint(connection, url, self._headers)

    async def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the answer as `Provider.stream` promises, with the vendor's own bytes."""
        body = self._body(request, deployment)
        target = self._endpoint_of(deployment)
        async with http.post(target, body, is_streamed=request.stream) as response:
            if not request.stream:
                for item in whole_answer(self._connection.name, await response.read()):
                    yield item
                return
            chunks = ChunkReader(self._connection.name)
            async for received in response.content.iter_any():
                if delta := chunks.read(received):
                    yield delta
                if chunks.is_done:
                    await http.drain(response)
                    break
            if delta := chunks.read_rest():
                yield delta
            yield chunks.end()

    async def models(self) -> dict[str, int | None]:
        """Return the models that the server offers, with their windows where it tells them."""
        async with self._client() as client:
            try:
                page = await client.models.list(timeout=LIST_SECONDS)
            except APIError as error:
                name = self._connection.name
                raise ConnectionFailed(f"The provider {name} does not list its models.") from error
            return {model.id: getattr(model, "max_model_len", None) for model in page.data}

    def _client(self) -> AsyncOpenAI:
        # Everything is given: what is left out, the SDK takes from variables meant for OpenAI.
        return AsyncOpenAI(
            api_key=self._connection.api_key or NO_KEY,
            base_url=self._connection.base_url or OFFICIAL,
            max_retries=0,
        )

    def _own_headers(self, client: AsyncOpenAI) -> dict[str, str]:
        """Return the SDK's headers; organization and project are OpenAI's business alone."""
        names = (*COMMON, *ONLY_OFFICIAL) if self._is_official else COMMON
        known = client.default_headers
        headers = {name: str(known[name]) for name in names if known.get(name)}
        return {**headers, **client.auth_headers} if self._connection.api_key else headers

    def _endpoint_of(self, deployment: Deployment) -> http.Endpoint:
        return self._endpoint

    def _body(self, request: ChatRequest, deployment: Deployment) -> bytes:
        body: dict[str, Any] = {
            **request.extra,
            "model": deployment.model,
            "messages": request.messages,
        }
        for name in PLAIN:
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if request.max_tokens is not None:
            body["max_completion_tokens" if self._is_official else "max_tokens"] = (
                request.max_tokens
            )
        if request.stop:
            body["stop"] = request.stop
        if request.tools:
            body["tools"] = request.tools
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return _encode(body)


class AzureProvider(OpenAIProvider):
    """Azure OpenAI: the deployment is part of the address, and the key has a header of its own."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._is_official = True
        self._endpoints: dict[str, http.Endpoint] = {}

    def _client(self) -> AsyncOpenAI:
        return AsyncAzureOpenAI(
            api_key=self._connection.api_key or NO_KEY,
            azure_endpoint=self._connection.base_url,
            api_version=self._connection.api_version or AZURE_API_VERSION,
            max_retries=0,
        )

    def _endpoint_of(self, deployment: Deployment) -> http.Endpoint:
        known = self._endpoints.get(deployment.model)
        if known is None:
            client = self._client()
            base = str(client.base_url).rstrip("/")
            path = f"deployments/{quote(deployment.model, safe='')}/chat/completions"
            url = f"{base}/{path}?{urlencode(client.default_query)}"
            known = http.endpoint(self._connection, url, self._headers)
            self._endpoints[deployment.model] = known
        return known
