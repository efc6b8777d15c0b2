"""A program's call, as the service layer sees it: who pays, and what its headers ask for."""

import re
from collections.abc import AsyncGenerator

from core import request_id
from core.errors import InvalidRequest
from gateway import cache_control, tags
from gateway.http import ApiConsumer
from llm.types import Call, Event, Started

SURFACE = "api"
TASK_HEADER = "X-Parley-Task"
TASK = re.compile(r"[A-Za-z0-9_-]{0,50}")


def call_of(consumer: ApiConsumer) -> Call:
    """Return the call that the request's headers describe; raise `InvalidRequest` by the header."""
    return Call(
        principal=consumer.principal,
        surface=SURFACE,
        request_id=request_id.current(),
        cache=cache_control.wish_of(consumer.header),
        tags=tags.tags_of(consumer.header(b"x-parley-tags")),
        task=_task(consumer.header(b"x-parley-task")),
        ip=consumer.ip,
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
