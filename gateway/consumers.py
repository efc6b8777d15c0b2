"""The API for programs: read OpenAI's wire, make one call, write OpenAI's wire."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from core import request_id
from gateway import encoding, wire
from gateway.encoding import ChunkEncoder
from gateway.errors import Headers, UnknownAddress
from gateway.http import ApiConsumer
from gateway.pacing import paced
from llm import service
from llm.errors import ModelNotFound
from llm.types import Call, Delta, Event, Finished, Started

SURFACE = "api"
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
            use_cache="no-cache" not in self.header(b"cache-control"),
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
        (b"x-parley-cache", b"hit" if started.is_cache_hit else b"miss"),
    ]
    if started.cache_age is not None:
        headers.append((b"age", b"%d" % started.cache_age))
    return headers


def _cost(finished: Finished) -> Headers:
    """Return nothing for a model without a price: unknown is not 0."""
    if finished.cost_usd is None:
        return []
    return [(b"x-parley-cost-usd", f"{finished.cost_usd.normalize():f}".encode())]
