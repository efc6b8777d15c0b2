"""A program in front of a running Parley: the official client and plain HTTP."""

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import OpenAI

from billing.models import UsageRecord
from tests.servers import Site
from tests.vendor import FakeVendor

PATIENCE = 60.0  # seconds; nobody waits so long but where something is broken
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True, slots=True)
class Program:
    """What a test calls Parley with, and the model it may ask for."""

    site: Site
    vendor: FakeVendor
    model: str
    http: httpx2.Client
    openai: OpenAI

    def post(self, **parameters: Any) -> httpx2.Response:
        """Ask for a completion over plain HTTP."""
        asked = {"model": self.model, "messages": MESSAGES, **parameters}
        return self.http.post("/chat/completions", json=asked)

    def connection(self, *headers: str, **parameters: Any) -> AbstractContextManager[socket.socket]:
        """Have a raw connection on which a completion was asked for."""
        asked = {"model": self.model, "messages": MESSAGES, **parameters}
        return self.raw("/chat/completions", asked, *headers)

    @contextmanager
    def raw(self, address: str, asked: Any, *headers: str) -> Iterator[socket.socket]:
        """Have a raw connection on which something was asked for; who closes it has left."""
        body = json.dumps(asked).encode()
        lines = (
            f"POST /v1{address} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {self.site.api_key}",
            f"Content-Length: {len(body)}",
            *headers,
        )
        head = "".join(f"{line}\r\n" for line in (*lines, ""))
        port = int(self.site.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connected:
            connected.sendall(head.encode() + body)
            yield connected


@contextmanager
def program(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    """Serve the vendor under a name of its own, and wait until the server has heard of it."""
    model = f"model-{uuid.uuid4().hex}"
    vendor.serve(model)
    url = f"{site.url}/v1"
    key = {"Authorization": f"Bearer {site.api_key}"}
    with (
        httpx2.Client(base_url=url, headers=key, timeout=PATIENCE) as http,
        OpenAI(base_url=url, api_key=site.api_key, max_retries=0) as client,
    ):
        eventually(lambda: http.get(f"/models/{model}").is_success)
        yield Program(site=site, vendor=vendor, model=model, http=http, openai=client)


def frames(response: httpx2.Response) -> list[Any]:
    """Return the events of a stream: JSON, or the text `[DONE]`."""
    events = [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


def eventually(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; how soon is a matter of the machine."""
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def record() -> UsageRecord:
    """Return the one usage record there is."""
    return UsageRecord.objects.get()
