"""The API for programs: read OpenAI's wire, make one call, write OpenAI's wire."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from core import request_id
from core.errors import InvalidRequest
from gateway import cache_control, encoding, rate_limits, tags, wire
from gateway.encoding import ChunkEncoder
from gateway.errors import Headers, UnknownAddress
from gateway.http import ApiConsumer
from gateway.pacing import paced
from llm import service
from llm.errors import ModelNotFound
from llm.types import Call, Delta, Event, Finished, Started

SURFACE = "api"
TASK_HEADER = "X-Parley-Task"
TASK = re.compile(r"[A-Za-z0-9_-]{0,50}")
EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects would defeat streaming
]


class ChatCompletions(ApiConsumer):
    """`POST /v1/chat/completions`."""

    method = "POST"

    async def handle(self, body: bytes) -> None:
        completion = wire.parse(body)
        call = Call(
            principal=self.principal,
            surface=SURFACE,
            request_id=request_id.current(),
            cache=cache_control.wish_of(self.header),
            tags=tags.tags_of(self.header(b"x-parley-tags")),
            task=_task(self.header(b"x-parley-task")),
            ip=self.ip,
        )
        async with aclosing(service.stream(completion.as_request(), call)) as events:
            if completion.stream:
                await self._stream(events, include_usage=completion.include_usage)
            else:
                await self._whole(events)

    async def _stream(self, events: AsyncGenerator[Event, None], *, include_usage: bool) -> None:
        """Send events as they come. Whatever fails from here on ends in an error event."""
        started = await _started(events)
        encoder = ChunkEncoder(started, include_usage=include_usage)
        await self.send_headers(headers=[*EVENT_STREAM, *_about(started)])
        async with aclosing(paced(events)) as paced_events:
            async for event in paced_events:
                if isinstance(event, Delta):
                    await self.send_body(encoder.delta(event), more_body=True)
                elif isinstance(event, Finished):
                    await self.send_body(encoder.finish(event))

    async def _whole(self, events: AsyncGenerator[Event, None]) -> None:
        started = await _started(events)
        deltas: list[Delta] = []
        async for event in events:
            if isinstance(event, Delta):
                deltas.append(event)
            elif isinstance(event, Finished):
                body = encoding.whole(started, deltas, event)
                await self.send_json(body, *_about(started), *_cost(event))


class ModelList(ApiConsumer):
    """`GET /v1/models`."""

    method = "GET"

    async def handle(self, body: bytes) -> None:
        offers = await service.models(self.principal)
        models = [encoding.model(offer) for offer in offers]
        await self.send_json(msgspec.json.encode({"object": "list", "data": models}))


class ModelDetail(ApiConsumer):
    """`GET /v1/models/{id}`."""

    method = "GET"

    async def handle(self, body: bytes) -> None:
        asked = self.scope["url_route"]["kwargs"]["model"]
        for offer in await service.models(self.principal):
            if offer.id == asked:
                await self.send_json(msgspec.json.encode(encoding.model(offer)))
                return
        raise ModelNotFound(f"There is no model `{asked}`.", param="model")


class Nothing(ApiConsumer):
    """Whatever else is asked for below `/v1/`."""

    async def handle(self, body: bytes) -> None:
        raise UnknownAddress(f"There is nothing at {self.scope['path']}.")


def _task(header: str) -> str:
    """Return what the call is for, as a route's steps may name it; "" where nothing is said."""
    if not TASK.fullmatch(header):
        raise InvalidRequest(
            f"`{TASK_HEADER}` may have up to 50 letters, digits, `_` and `-`.", param=TASK_HEADER
        )
    return header


async def _started(events: AsyncGenerator[Event, None]) -> Started:
    """Return the first event; until it has come, a failure is a plain answer with its status."""
    event = await anext(events)
    if not isinstance(event, Started):
        raise TypeError(f"{type(event).__name__} came before Started")
    return event


def _about(started: Started) -> Headers:
    headers = [
        (b"x-parley-usage-id", str(started.usage_id).encode()),
        (b"x-parley-provider", started.provider.encode()),
        (b"x-parley-model", started.model.encode()),
        (b"x-parley-cache", _cache_result(started)),
        *rate_limits.headers(started.rate_limit),
    ]
    if started.cache_age is not None:
        headers.append((b"age", b"%d" % started.cache_age))
    if started.similarity is not None:
        headers.append((b"x-parley-cache-similarity", b"%.4f" % started.similarity))
    return headers


def _cache_result(started: Started) -> bytes:
    if not started.is_cache_hit:
        return b"miss"
    if started.similarity is not None:
        return b"semantic"
    return b"shared" if started.is_shared else b"hit"


def _cost(finished: Finished) -> Headers:
    """Return nothing for a model without a price: unknown is not 0."""
    if finished.cost_usd is None:
        return []
    return [(b"x-parley-cost-usd", f"{finished.cost_usd.normalize():f}".encode())]
