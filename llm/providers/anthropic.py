"""Anthropic's Messages API."""

from collections.abc import AsyncGenerator
from functools import partial

from llm.providers import http, listing, relay
from llm.providers.anthropic_request import encode, json_tool
from llm.providers.anthropic_stream import EventReader
from llm.providers.anthropic_wire import whole_answer
from llm.providers.base import Connection, Deployment
from llm.types import ChatRequest, Delta, End

OFFICIAL = "https://api.anthropic.com"
VERSION = "2023-06-01"


class AnthropicProvider:
    """Anthropic itself, or a server that speaks its API."""

    def __init__(self, connection: Connection) -> None:
        base = (connection.base_url or OFFICIAL).rstrip("/").removesuffix("/v1")
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "anthropic-version": VERSION,
            "x-api-key": connection.api_key,
        }
        self._endpoint = http.endpoint(connection, f"{base}/v1/messages", headers)
        self._models = http.endpoint(connection, f"{base}/v1/models?limit=1000", headers)

    async def models(self) -> dict[str, int | None]:
        """Return the models that the key may use."""
        return await listing.models(self._models)

    def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the answer as `Provider.stream` promises, without `raw`."""
        body = encode(request, deployment)
        tool = json_tool(request)
        if not request.stream:
            understand = partial(whole_answer, json_tool=tool)
            return relay.whole(self._endpoint, body, deployment.timeouts, understand)
        reader = EventReader(self._endpoint.provider, json_tool=tool)
        return relay.streamed(self._endpoint, body, deployment.timeouts, reader)
