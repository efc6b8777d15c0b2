"""The models that a vendor's server offers: no hot call, and one that staff make to any address."""

import aiohttp
import msgspec
from msgspec import Struct

from core import closed_addresses
from llm.errors import MalformedAnswer
from llm.providers import classify, http
from llm.providers.http import EXPECTED, LONGEST_REFUSAL, Endpoint

SECONDS = 5.0  # of patience
LONGEST = 8_000_000  # bytes; the longest list there is (OpenRouter's) has less than one million
NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class Model(Struct):
    id: str
    max_model_len: int | None = None  # vLLM tells it


class Page(Struct):
    data: list[Model]


_decode = msgspec.json.Decoder(Page).decode


async def models(target: Endpoint) -> dict[str, int | None]:
    """Return the models with their windows, where the server tells them; raise `ProviderError`."""
    try:
        status, headers, body = await _get(target)
    except EXPECTED as error:
        is_sent = not isinstance(error, NOT_SENT)
        raise http.classified(target.provider, error, is_sent=is_sent) from error
    if status != 200:
        raise classify.refusal(target.provider, status, body[:LONGEST_REFUSAL], headers)
    try:
        page = _decode(body)
    except classify.UNREADABLE as error:
        raise _unreadable(target) from error
    return {model.id: model.max_model_len for model in page.data}


async def _get(target: Endpoint) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body."""
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=closed_addresses.open_socket),
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            auto_decompress=False,
        ) as session,
        # A redirect would take the key to another server, or us to one that only we can reach.
        session.get(
            target.url, headers=target.headers, proxy=target.proxy, allow_redirects=False
        ) as answer,
    ):
        body = bytearray()
        async for received in answer.content.iter_any():
            body += received
            if len(body) > LONGEST:
                raise _unreadable(target)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, headers, bytes(body)


def _unreadable(target: Endpoint) -> MalformedAnswer:
    return MalformedAnswer(f"The provider {target.provider} does not list models there.")
