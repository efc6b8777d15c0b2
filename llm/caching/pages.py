"""How one process writes down an answer in the making, and another one reads it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from core.errors import AppError
from llm import errors
from llm.caching.kept import joined
from llm.types import Delta, Event, Finished, Started

NOBODYS = UUID(int=0)  # whoever reads a page has a usage record of their own


class Unreadable(Exception):
    """Another version of Parley wrote the page."""


class Failure(Struct, frozen=True):
    """An expected error, as far as it may be told."""

    name: str  # of its class
    message: str
    code: str
    http_status: int
    param: str | None = None
    retry_after: float | None = None


class Page(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next part of an answer: some of it, its end, or why there is none."""

    leader: str  # who makes the call; another one begins anew
    served_by: tuple[str, str] | None = None  # provider and model, on the first page
    delta: Delta | None = None
    finished: Finished | None = None
    failure: Failure | None = None
    tries_left: int = 0  # for those who wait, after a failure


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Page).decode


def page_of(leader: str, events: Sequence[Event]) -> Page:
    """Return what has come since the last page."""
    deltas = [event for event in events if isinstance(event, Delta)]
    started = next((event for event in events if isinstance(event, Started)), None)
    return Page(
        leader=leader,
        served_by=(started.provider, started.model) if started else None,
        delta=joined(deltas) if deltas else None,
        finished=next((event for event in events if isinstance(event, Finished)), None),
    )


def last_page(leader: str, error: AppError, *, tries_left: int) -> Page:
    """Return why the answer failed, and how often somebody else may try."""
    failure = Failure(
        *(type(error).__name__, error.message, error.code, error.http_status),
        *(error.param, error.retry_after),
    )
    return Page(leader=leader, failure=failure, tries_left=tries_left)


def events_of(page: Page) -> list[Event]:
    """Return the events of a page."""
    events: list[Event | None] = [page.delta, page.finished]
    if page.served_by is not None:
        provider, model = page.served_by
        events.insert(0, Started(usage_id=NOBODYS, provider=provider, model=model))
    return [event for event in events if event is not None]


def error_of(failure: Failure) -> AppError:
    """Return the error as it was raised in the other process."""
    found = getattr(errors, failure.name, AppError)
    is_ours = isinstance(found, type) and issubclass(found, AppError)
    error: AppError = (found if is_ours else AppError)(failure.message, param=failure.param)
    error.code, error.http_status = failure.code, failure.http_status
    error.retry_after = failure.retry_after
    return error


def encode(page: Page) -> bytes:
    return _encode(page)


def decode(written: bytes) -> Page:
    """Return the page, or raise `Unreadable`."""
    try:
        return _decode(written)
    except msgspec.DecodeError as error:
        raise Unreadable from error
