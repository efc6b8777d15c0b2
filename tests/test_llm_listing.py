"""Asking a vendor for the models that it offers."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from llm import errors
from llm.providers import Connection, provider_for
from llm.providers.base import Lister


@pytest.fixture
def paths() -> Iterator[tuple[str, list[str]]]:
    """Run a server that sends everybody elsewhere; give its address and what it was asked for."""
    asked: list[str] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Redirecting)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["openai", "azure", "anthropic"])
async def test_a_redirect_is_not_followed(paths: tuple[str, list[str]], kind: str) -> None:
    address, asked = paths
    provider = provider_for(Connection(name="x", kind=kind, base_url=address, api_key="secret"))
    assert isinstance(provider, Lister)

    with pytest.raises(errors.ServerError):
        await provider.models()

    assert len(asked) == 1
    assert "/elsewhere" not in asked
