"""A program's call, as the service layer sees it: who pays, and what its headers ask for."""

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from core import request_id
from core.errors import InvalidRequest
from gateway import cache_control, tags
from gateway.answer_headers import of_stream, of_whole
from gateway.extensions import Extensions
from gateway.http import SURFACE, ApiConsumer
from gateway.pacing import paced
from llm.types import CacheWish, Call, Delta, Event, Finished, Started

TASK_HEADER = "X-Parley-Task"
TASK = re.compile(r"[A-Za-z0-9_-]{0,50}")
NOTHING_SAID = Extensions()
NO_WISH = CacheWish()


class Encoder(Protocol):
    """Writes the events of one streamed answer as a wire format has them."""

    def delta(self, delta: Delta) -> bytes: ...
    def finish(self, finished: Finished) -> bytes: ...


def call_of(consumer: ApiConsumer, said: Extensions | None = None) -> Call:
    """Return the call that the headers describe; raise `InvalidRequest` by the header.

    Of a header that says what the body says under `parley` too, nothing is taken.
    """
    header, said = consumer.header, said or NOTHING_SAID
    return Call(
        principal=consumer.principal,
        surface=SURFACE,
        request_id=request_id.current(),
        cache=cache_control.wish_of(header) if said.cache is None else NO_WISH,
        tags=tags.tags_of(header(b"x-parley-tags")) if said.tags is None else (),
        task=_task(header(b"x-parley-task")) if said.task is None else "",
        ip=consumer.ip,
        presence=consumer.presence,
    )


async def begun(consumer: ApiConsumer, events: AsyncGenerator[Event, None]) -> Started:
    """Return the first event of a stream, whose headers are sent then.

    Until it has come, a failure is a plain answer with its status. Where it is very long in coming
    the stream has begun without it: a failure is an event, and no header says who answers.
    """
    consumer.keep_alive()
    started = await first(events)
    await consumer.begin_stream([*of_stream(started), *consumer.limit_headers(started)])
    return started


async def relay(
    consumer: ApiConsumer, events: AsyncGenerator[Event, None], encoder: Encoder
) -> None:
    """Send a stream that has begun to its end; what fails from here on ends in an error event."""
    async with aclosing(paced(events)) as paced_events:
        async for event in paced_events:
            if isinstance(event, Delta):
                if told := encoder.delta(event):
                    await consumer.send_body(told, more_body=True)
            elif isinstance(event, Finished):
                await consumer.send_body(encoder.finish(event))


async def send_whole(
    consumer: ApiConsumer,
    events: AsyncGenerator[Event, None],
    written: Callable[[Started, Sequence[Delta], Finished], bytes],
) -> None:
    """Send an answer in one piece, as `written` returns its body."""
    started = await first(events)
    deltas: list[Delta] = []
    async for event in events:
        if isinstance(event, Delta):
            deltas.append(event)
        elif isinstance(event, Finished):
            body = written(started, deltas, event)
            await consumer.send_json(
                body, *of_whole(started, event), *consumer.limit_headers(started)
            )


async def first(events: AsyncGenerator[Event, None]) -> Started:
    """Return the first event; until it has come, a failure is a plain answer with its status."""
    event = await anext(events)
    if not isinstance(event, Started):
        raise TypeError(f"{type(event).__name__} came before Started")
    return event


def _task(header: str) -> str:
    """Return what the call is for, as a route's steps may name it; "" where nothing is said."""
    if not TASK.fullmatch(header):
        raise InvalidRequest(
            f"`{TASK_HEADER}` may have up to 50 letters, digits, `_` and `-`.", param=TASK_HEADER
        )
    return header
