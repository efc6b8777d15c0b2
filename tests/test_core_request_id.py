"""One id per request, whoever made it."""

import pytest
import structlog
from channels.testing import HttpCommunicator

from core import request_id
from core.request_id import ASGIApp, Receive, RequestId, Scope, Send


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the id that the code on the way sees."""
    logged = structlog.contextvars.get_contextvars()["request_id"]
    assert logged == request_id.current()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": logged.encode()})


async def ask(app: ASGIApp, *headers: tuple[bytes, bytes]) -> tuple[str, str]:
    """Return the id in the answer's header, and the one the code saw."""
    communicator = HttpCommunicator(app, "GET", "/", headers=list(headers))
    response = await communicator.get_response()
    return dict(response["headers"])[b"x-request-id"].decode(), response["body"].decode()


async def test_the_callers_id_is_kept() -> None:
    returned, seen = await ask(RequestId(answer), (b"x-request-id", b"order-42"))

    assert returned == seen == "order-42"


async def test_a_request_without_an_id_gets_one() -> None:
    first, _ = await ask(RequestId(answer))
    second, seen = await ask(RequestId(answer))

    assert second == seen
    assert first != second


@pytest.mark.parametrize(
    "bad", [b"", b"a" * 129, b"line\r\nbreak", b"a\tb", b"<script>", "ü".encode()]
)
async def test_an_id_that_could_do_harm_is_replaced(bad: bytes) -> None:
    returned, _ = await ask(RequestId(answer), (b"x-request-id", bad))

    assert returned.encode() != bad
    assert request_id.ACCEPTED.fullmatch(returned.encode())
