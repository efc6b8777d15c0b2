"""PostgreSQL being away is a state with an answer, not a crash."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DataError, InterfaceError, OperationalError, connections

from core.errors import DependencyDown

AWAY = "The database does not answer; try again in a moment."
OUTAGES = (OperationalError, InterfaceError)  # how Django tells of it

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def is_zero_character(error: Exception) -> bool:
    """Return whether PostgreSQL refuses a text for the one character that it cannot keep."""
    return isinstance(error, DataError) and "NUL" in str(error)


@contextmanager
def translate_outage() -> Iterator[None]:
    """Raise `DependencyDown` (503, with a time to retry) where PostgreSQL does not answer."""
    _close_stale_connections()
    try:
        yield
    except OUTAGES as error:
        raise DependencyDown(AWAY) from error
    finally:
        _close_stale_connections()


async def in_thread(
    service: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Return what `service` returns; PostgreSQL being away is `DependencyDown`.

    Sockets do not wait for each other's queries: each call takes a thread of the pool.
    """

    def work() -> Result:
        with translate_outage():
            return service(*args, **kwargs)

    return await sync_to_async(work, thread_sensitive=False)()


def _close_stale_connections() -> None:
    """Do what Django does around a request; a transaction of our caller keeps its connection."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
