"""How the streaming side of `chat` reaches PostgreSQL: a whole service in a thread."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from core.database import translate_outage

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


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
