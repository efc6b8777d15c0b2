"""A vendor's server for tests: real sockets, OpenAI's and Anthropic's wire, faults on demand.

It runs in a thread with an event loop of its own, so server processes can call it as well.
"""

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from aiohttp import web
from asgiref.sync import sync_to_async

from billing import prices
from llm import routing
from llm.models import Deployment, Provider, Route, RouteDeployment
from tests.vendor_wire import (
    Answer,
    anthropic_frames,
    anthropic_whole,
    fail,
    openai_frames,
    openai_whole,
)

__all__ = ["Answer", "FakeVendor", "Received"]


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    query: Mapping[str, str]


class FakeVendor:
    """Plays its script, an answer a request; the last one is repeated."""

    def __init__(self, name: str = "vendor") -> None:
        self.name = name
        self.requests: list[Received] = []
        self.cancelled = 0  # answers that the caller hung up on
        self.url = ""
        self._script = [Answer()]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner = web.AppRunner(
            _application(self), handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )

    def script(self, *answers: Answer) -> None:
        """Give these answers from now on, in order."""
        self._script = list(answers)

    def next_answer(self) -> Answer:
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def serve(
        self,
        alias: str = "test-model",
        *,
        kind: str = "openai",
        model: str = "vendor-model",
        prices_usd: tuple[str, str] | None = ("1", "2"),
        is_cached: bool = False,
        **deployment: Any,
    ) -> Deployment:
        """Make it the next deployment that answers to `alias`; prices are input and output."""
        served = Deployment.objects.create(provider=self._provider(kind), model=model, **deployment)
        route, _ = Route.objects.get_or_create(alias=alias, defaults={"is_cached": is_cached})
        RouteDeployment.objects.create(route=route, deployment=served, position=route.steps.count())
        if prices_usd is not None:
            input_usd, output_usd = map(Decimal, prices_usd)
            prices.set_price(
                provider=self.name,
                model=model,
                input_usd=input_usd,
                output_usd=output_usd,
                source="test",
            )
        routing.forget()
        return served

    async def aserve(self, alias: str = "test-model", **more: Any) -> Deployment:
        """Do as `serve` does, in an async test."""
        return await sync_to_async(self.serve)(alias, **more)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _provider(self, kind: str) -> Provider:
        base_url = self.url if kind == "azure" else f"{self.url}/v1"
        provider, _ = Provider.objects.get_or_create(
            name=self.name, defaults={"kind": kind, "base_url": base_url}
        )
        return provider

    async def _start(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def _application(vendor: FakeVendor) -> web.Application:
    async def openai(request: web.Request) -> web.StreamResponse:
        return await _answer(vendor, request, openai_whole, openai_frames)

    async def anthropic(request: web.Request) -> web.StreamResponse:
        return await _answer(vendor, request, anthropic_whole, anthropic_frames)

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "vendor-model"}]})

    application = web.Application(client_max_size=50_000_000)
    application.router.add_post("/v1/chat/completions", openai)
    application.router.add_post("/openai/deployments/{model}/chat/completions", openai)
    application.router.add_post("/v1/messages", anthropic)
    application.router.add_get("/v1/models", models)
    return application


async def _answer(
    vendor: FakeVendor, request: web.Request, whole: Any, frames: Any
) -> web.StreamResponse:
    body = await request.json()
    vendor.requests.append(Received(request.path, dict(request.headers), body, dict(request.query)))
    answer = vendor.next_answer()
    try:
        if answer.fault and answer.after is None:
            await fail(answer, request)
        if answer.status != 200 or not body.get("stream"):
            return _whole_response(answer, whole)
        return await _stream(answer, request, frames)
    except (asyncio.CancelledError, ConnectionResetError):
        vendor.cancelled += 1
        raise


def _whole_response(answer: Answer, whole: Any) -> web.Response:
    if answer.status == 200 and answer.error is None:
        text = "{this is not JSON" if answer.fault == "malformed" else json.dumps(whole(answer))
    else:
        text = json.dumps({"error": answer.error or {"message": "scripted"}})
    return web.Response(
        text=text, status=answer.status, headers=answer.headers, content_type="application/json"
    )


async def _stream(answer: Answer, request: web.Request, frames: Any) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for frame in frames(answer, request):
        size = answer.cut or len(frame)
        for start in range(0, len(frame), size):
            await response.write(frame[start : start + size])
            if answer.cut:
                await asyncio.sleep(0)
    await response.write_eof()
    return response
