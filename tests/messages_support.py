"""A program that speaks Anthropic's wire, in front of a running Parley and a vendor of any kind."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from anthropic import Anthropic

from tests.gateway import PATIENCE, eventually
from tests.servers import Site
from tests.vendor import FakeVendor

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "name": "weather",
    "description": "Tell the weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
BERN = {"id": "call-1", "name": "weather", "arguments": '{"city": "Bern"}'}
ROME = {"id": "call-2", "name": "weather", "arguments": '{"city": "Rome"}'}


@dataclass(frozen=True, slots=True)
class AnthropicProgram:
    """What a test calls Parley with, and the model it may ask for."""

    site: Site
    vendor: FakeVendor
    model: str
    http: httpx2.Client
    anthropic: Anthropic

    def post(self, **parameters: Any) -> httpx2.Response:
        """Ask for a message over plain HTTP."""
        asked = {"model": self.model, "max_tokens": 100, "messages": HELLO, **parameters}
        return self.http.post("/messages", json=asked)

    def create(self, **parameters: Any) -> Any:
        """Ask for a message through the official client."""
        asked = {"model": self.model, "max_tokens": 100, "messages": HELLO, **parameters}
        return self.anthropic.messages.create(**asked)

    def stream(self, **parameters: Any) -> Any:
        """Ask for a stream through the official client's helper."""
        asked = {"model": self.model, "max_tokens": 100, "messages": HELLO, **parameters}
        return self.anthropic.messages.stream(**asked)

    @property
    def sent(self) -> Any:
        """Return the body that the vendor got last."""
        return self.vendor.requests[-1].body


@contextmanager
def anthropic_program(
    site: Site, vendor: FakeVendor, kind: str, **served: Any
) -> Iterator[AnthropicProgram]:
    """Serve the vendor under a name of its own, and wait until the server has heard of it."""
    model = f"model-{uuid.uuid4().hex}"
    vendor.serve(model, kind=kind, **served)
    with (
        httpx2.Client(
            base_url=f"{site.url}/v1", headers={"x-api-key": site.api_key}, timeout=PATIENCE
        ) as http,
        Anthropic(base_url=site.url, api_key=site.api_key, max_retries=0) as client,
    ):
        bearer = {"Authorization": f"Bearer {site.api_key}"}
        eventually(lambda: http.get(f"/models/{model}", headers=bearer).is_success)
        yield AnthropicProgram(site=site, vendor=vendor, model=model, http=http, anthropic=client)


def events_of(response: httpx2.Response) -> list[Any]:
    """Return the events of a stream; each is named as its data says."""
    found = []
    for event in response.text.split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found
