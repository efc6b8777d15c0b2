"""What belongs to one event loop: a connection or a task is of no use in another."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LoopLocal(Generic[Value]):
    """One value for each event loop, made when it is first asked for."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Value] = (
            weakref.WeakKeyDictionary()
        )

    def get(self) -> Value:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        found = self._values.get(loop)
        if found is None:
            found = self._values[loop] = self._make()
        return found

    def pop(self) -> Value | None:
        """Forget the running loop's value and return it; `None` where nobody asked for one."""
        return self._values.pop(asyncio.get_running_loop(), None)
