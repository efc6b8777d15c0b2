"""The right to make a call that others may wait for."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from llm.caching import commands, pages
from llm.caching.commands import Command, Errand
from llm.caching.exact import Entry
from llm.caching.pages import Page
from llm.types import Event

TellEnd = Callable[[Sequence[Command]], Awaitable[None]]


class Lead:
    """The right to make a call, and what those who wait for it elsewhere are told.

    `end` tells Redis the last of it; without it nobody waits elsewhere, for Redis is away.
    """

    def __init__(self, key: str, holder: str = "", *, end: TellEnd | None = None) -> None:
        self.events: Sequence[Event] = ()  # what has come; whoever makes the call adds to it
        self.holder = holder
        self._key = key
        self._end = end
        self._told = 0  # how many of the events
        self._wanted_at: float | None = None
        self._renew_at = time.monotonic() + commands.SIGN
        self._is_lost = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody in another process waits for the answer."""
        wanted_at = self._wanted_at
        is_noted = wanted_at is not None and time.monotonic() < wanted_at + commands.WANTED
        return is_noted and not self._is_lost

    async def land(
        self,
        *,
        failure: Page | None = None,
        entry: Entry | None = None,
    ) -> None:
        """Tell the others the end, keep the answer, and give the lease back.

        After the first time it does nothing.
        """
        end, self._end = self._end, None
        if end is None:
            return
        said = [commands.keep(entry)] if entry is not None else []
        if self._wanted_at is not None and not self._is_lost:
            said += self._write(failure)
            said.append(commands.forget_log(self._key, commands.LOG_KEPT))
        await end([*said, commands.release(self._key, self.holder)])

    def note(self) -> None:
        """Remember that somebody waits for the answer."""
        self._wanted_at = time.monotonic()

    def lose(self) -> None:
        """Tell nobody any more: what they have read may have a gap, or somebody else leads."""
        self._is_lost = True

    def errands(self, now: float) -> Iterator[Errand]:
        """Yield what is to be said to Redis now."""
        if self._is_lost:
            return
        if now >= self._renew_at:
            self._renew_at = now + commands.SIGN
            yield commands.renew(self._key, self.holder), self._renewed
            if self._wanted_at is not None:
                yield commands.forget_log(self._key, commands.LOG_FORGOTTEN), _ignore
        if self._wanted_at is not None:
            for said in self._write():
                yield said, _ignore

    def _write(self, failure: Page | None = None) -> list[Command]:
        """Return the commands that write down what has come since the last time."""
        is_new = self._told == 0
        news = self.events[self._told :]
        self._told += len(news)
        written = [pages.page_of(self.holder, news)] if news else []
        if failure is not None:
            written.append(failure)
        said = [commands.write(self._key, page) for page in written]
        if said and is_new:  # whoever is killed leaves nothing for ever
            said.append(commands.forget_log(self._key, commands.LOG_FORGOTTEN))
        return said

    def _renewed(self, is_ours: int) -> None:
        if not is_ours:
            self.lose()


def _ignore(_: Any) -> None:
    """Take a reply that says nothing."""
