"""A program's call, as the service layer sees it: who pays, and what its headers ask for."""

import re
from collections.abc import AsyncGenerator

from core import request_id
from core.errors import InvalidRequest
from gateway import cache_control, extensions, tags
from gateway.answer_headers import about
from gateway.extensions import Extensions
from gateway.http import ApiConsumer
from llm.types import Call, Event, PromptUsed, RoutingWish, Started
from prompts.services import RenderedPrompt

ANYBODY = RoutingWish()
SURFACE = "api"
TASK_HEADER = "X-Parley-Task"
TASK = re.compile(r"[A-Za-z0-9_-]{0,50}")


def call_of(
    consumer: ApiConsumer,
    said: Extensions = extensions.NONE,
    prompt: RenderedPrompt | None = None,
) -> Call:
    """Return the call that the request describes; raise `InvalidRequest` by the header.

    What the body says under `parley` holds; of a header that says it too, nothing is taken.
    """
    header = consumer.header
    return Call(
        principal=consumer.principal,
        surface=SURFACE,
        request_id=request_id.current(),
        prompt=PromptUsed(prompt.name, prompt.version, prompt.cache) if prompt else None,
        cache=said.cache.wish() if said.cache else cache_control.wish_of(header),
        tags=tags.tags_of(header(b"x-parley-tags")) if said.tags is None else said.unique_tags,
        task=_task(header(b"x-parley-task")) if said.task is None else said.task,
        ip=consumer.ip,
        routing=said.routing.wish() if said.routing else ANYBODY,
        presence=consumer.presence,
    )


async def begun(consumer: ApiConsumer, events: AsyncGenerator[Event, None]) -> Started:
    """Return the first event of a stream, whose headers are sent then.

    Until it has come, a failure is a plain answer with its status. Where it is very long in coming
    the stream has begun without it: a failure is an event, and no header says who answers.
    """
    consumer.keep_alive()
    started = await first(events)
    await consumer.begin_stream(about(started))
    return started


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
