"""Anthropic's Messages API."""

from collections.abc import AsyncGenerator

from llm.providers import http
from llm.providers.anthropic_request import encode
from llm.providers.anthropic_wire import EventReader, whole_answer
from llm.providers.base import Connection, Deployment
from llm.types import ChatRequest, Delta, End

OFFICIAL = "https://api.anthropic.com"
VERSION = "2023-06-01"


class AnthropicProvider:
    """Anthropic itself, or a server that speaks its API."""

    def __init__(self, connection: Connection) -> None:
        self._name = connection.name
        base = (connection.base_url or OFFICIAL).rstrip("/").removesuffix("/v1")
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "anthropic-version": VERSION,
            "x-api-key": connection.api_key,
        }
        self._endpoint = http.endpoint(connection, f"{base}/v1/messages", headers)

    async def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the answer as `Provider.stream` promises, without `raw`."""
        body = encode(request, deployment)
        async with http.post(self._endpoint, body, is_streamed=request.stream) as response:
            if not request.stream:
                for item in whole_answer(self._name, await response.read()):
                    yield item
                return
            events = EventReader(self._name)
            async for received in response.content.iter_any():
                if delta := events.read(received):
                    yield delta
                if events.is_done:
                    await http.drain(response)
                    break
            yield events.end()
