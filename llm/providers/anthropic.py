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
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "anthropic-version": VERSION,
            "x-api-key": connection.api_key,
        }
        self._connection = connection
        self._url = f"{base}/v1/messages"
        self._endpoints: dict[tuple[str, ...], http.Endpoint] = {}  # by the betas asked for
        self._endpoint_with(())  # what is wrong with the connection is said at once
        self._models = http.endpoint(connection, f"{base}/v1/models?limit=1000", self._headers)

    async def models(self) -> dict[str, int | None]:
        """Return the models that the key may use."""
        return await listing.models(self._models)

    def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the answer as `Provider.stream` promises, without `raw`."""
        body = encode(request, deployment)
        tool = json_tool(request)
        target = self._endpoint_with(tuple(request.anthropic_hints.get("betas", ())))
        if not request.stream:
            understand = partial(whole_answer, json_tool=tool)
            return relay.whole(target, body, deployment.timeouts, understand)
        reader = EventReader(target.provider, json_tool=tool)
        return relay.streamed(target, body, deployment.timeouts, reader)

    def _endpoint_with(self, betas: tuple[str, ...]) -> http.Endpoint:
        """Return the endpoint of calls that name these betas; edges let a handful through."""
        known = self._endpoints.get(betas)
        if known is None:
            named = {"anthropic-beta": ",".join(betas)} if betas else {}
            known = http.endpoint(self._connection, self._url, self._headers | named)
            self._endpoints[betas] = known
        return known
