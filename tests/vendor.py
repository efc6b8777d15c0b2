"""A vendor's server for tests: real sockets, OpenAI's and Anthropic's wire, faults on demand.

It runs in a thread with an event loop of its own, so server processes can call it as well.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, Self

from aiohttp import web
from asgiref.sync import sync_to_async

from billing import prices
from llm.models import Deployment, Provider, Route, RouteDeployment
from llm.routing import routes
from tests.vendor_inputs import KEY_REFUSED, embeddings_whole, moderation_whole
from tests.vendor_wire import (
    Answer,
    Gate,
    anthropic_frames,
    anthropic_whole,
    fail,
    openai_frames,
    openai_whole,
)

__all__ = ["Answer", "FakeVendor", "Gate", "Received", "deaf_address"]


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    query: Mapping[str, str]
    peer: str = ""  # where the connection comes from
    at: float = field(default_factory=time.monotonic)


class FakeVendor:
    """Plays its script, an answer a request; the last one is repeated."""

    def __init__(self, name: str = "vendor") -> None:
        self.name = name
        self.requests: list[Received] = []
        self.cancelled = 0  # answers that the caller hung up on
        self.refused_keys: set[str] = set()
        self.url = ""
        self._script = [Answer()]
        self._by_model: dict[str, Answer] = {}
        self._runner = web.AppRunner(
            _application(self), handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )

    def script(self, *answers: Answer) -> None:
        """Give these answers from now on, in order."""
        self._script = list(answers)

    def script_model(self, model: str, answer: Answer) -> None:
        """Give this answer whenever `model` is asked."""
        self._by_model[model] = answer

    def next_answer(self, model: str) -> Answer:
        if model in self._by_model:
            return self._by_model[model]
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def refuses(self, request: web.Request) -> bool:
        """Return whether the request comes with a key that is refused."""
        header = request.headers.get
        keys = {header("Authorization", "").removeprefix("Bearer ")}
        return bool(self.refused_keys & (keys | {header("x-api-key"), header("api-key")}))

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
        routes.forget()
        return served

    async def aserve(self, alias: str = "test-model", **more: Any) -> Deployment:
        """Do as `serve` does, in an async test."""
        return await sync_to_async(self.serve)(alias, **more)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
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
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


def _application(vendor: FakeVendor) -> web.Application:
    async def openai(request: web.Request) -> web.StreamResponse:
        return await _answer(vendor, request, openai_whole, openai_frames)

    async def anthropic(request: web.Request) -> web.StreamResponse:
        return await _answer(vendor, request, anthropic_whole, anthropic_frames)

    async def models(request: web.Request) -> web.Response:
        if vendor.refuses(request):
            return web.json_response({"error": KEY_REFUSED}, status=401)
        return web.json_response({"object": "list", "data": [{"id": "vendor-model"}]})

    application = web.Application(client_max_size=50_000_000)
    application.router.add_post("/v1/chat/completions", openai)
    application.router.add_post("/openai/v1/chat/completions", openai)
    application.router.add_post("/api/chat", openai)
    application.router.add_post("/openai/deployments/{model}/chat/completions", openai)
    application.router.add_post("/v1/messages", anthropic)
    _add_inputs(application, vendor)
    for prefix in ("/v1", "/openai"):
        application.router.add_get(f"{prefix}/models", models)
    return application


def _add_inputs(application: web.Application, vendor: FakeVendor) -> None:
    """Let it be asked for vectors and verdicts."""

    async def embeddings(request: web.Request) -> web.StreamResponse:
        whole = partial(embeddings_whole, await request.json())
        return await _answer(vendor, request, whole, None)

    async def moderations(request: web.Request) -> web.StreamResponse:
        whole = partial(moderation_whole, await request.json())
        return await _answer(vendor, request, whole, None)

    for prefix in ("/v1", "/openai/deployments/{model}"):
        application.router.add_post(f"{prefix}/embeddings", embeddings)
    application.router.add_post("/v1/moderations", moderations)


async def _answer(
    vendor: FakeVendor, request: web.Request, whole: Any, frames: Any
) -> web.StreamResponse:
    body = await request.json()
    peer = str(request.transport and request.transport.get_extra_info("peername"))
    query, headers = dict(request.query), dict(request.headers)
    vendor.requests.append(Received(request.path, headers, body, query, peer))
    if vendor.refuses(request):
        return web.json_response({"error": KEY_REFUSED}, status=401)
    answer = vendor.next_answer(body.get("model", ""))
    try:
        if answer.wire is not None and request.transport is not None:
            request.transport.write(answer.wire)
            await fail(replace(answer, fault=answer.fault or "close"), request)
        if answer.fault and answer.after is None:
            await fail(answer, request)
        if answer.body is not None:
            return web.Response(
                status=answer.status, body=answer.body, content_type="application/json"
            )
        if answer.status == 200 and body.get("stream"):
            return await _stream(answer, request, frames)
        return await _whole(answer, request, whole)
    except (asyncio.CancelledError, ConnectionResetError):
        vendor.cancelled += 1
        raise


async def _whole(answer: Answer, request: web.Request, whole: Any) -> web.StreamResponse:
    if answer.gate is not None:
        await answer.gate.passed()
    await asyncio.sleep(answer.pause)
    text = _text(answer, whole).encode()
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = "application/json"
    response.content_length = len(text)
    await response.prepare(request)
    if answer.fault in ("close", "reset", "stall"):
        await response.write(text[: len(text) // 2])
        await fail(answer, request)
    await response.write_eof(text)
    return response


def _text(answer: Answer, whole: Any) -> str:
    if answer.fault == "malformed":
        return "{this is not JSON"
    if answer.status == 200 and answer.error is None:
        return json.dumps(whole(answer))
    return json.dumps({"error": answer.error or {"message": "scripted"}})


async def _stream(answer: Answer, request: web.Request, frames: Any) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for frame in _all(frames(answer, request), answer.twice.encode()):
        size = answer.cut or len(frame)
        for start in range(0, len(frame), size):
            await response.write(frame[start : start + size])
            if answer.cut:
                await asyncio.sleep(0)
    await response.write_eof()
    return response


async def _all(frames: AsyncIterator[bytes], twice: bytes) -> AsyncIterator[bytes]:
    async for frame in frames:
        yield frame
        if twice and twice in frame:
            yield frame


@contextmanager
def deaf_address() -> Iterator[str]:
    """Give an address where nobody takes a call: it is neither answered nor refused."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # as many as may wait; the next one waits for ever
            caller = sockets.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield "http://{}:{}".format(*listener.getsockname())
