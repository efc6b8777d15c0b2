"""Calls that are the same at the same time are made once; all who ask get the answer as it comes.

A flight is a task of the process, not of a caller: who asked first may leave, and it goes on for
the others. Another process makes the call, or this one does; callers do not see the difference.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from core.errors import AppError, own
from core.loop_local import LoopLocal
from core.open_work import OpenWork
from llm.caching import figures, pages
from llm.caching.commands import SIGN
from llm.caching.exact import entry_of
from llm.caching.exchange import exchanges
from llm.caching.follows import Follow
from llm.caching.kept import gathered
from llm.caching.leads import Lead
from llm.caching.lookup import Answer, Lookup
from llm.caching.pages import Unreadable
from llm.errors import ConnectionFailed, ProviderError
from llm.types import Event, Finished, KeptAnswer

logger = structlog.get_logger(__name__)

BROKEN_OFF = "The answer broke off: the process that made it is gone."
UNREADABLE = "The answer broke off: another version of Parley makes it."
MOST_TRIES = 2  # of a call that a vendor fails: each has its retries and fallbacks already

Result = TypeVar("Result")


class Interrupted(AppError):
    """The process that made the call is about to end."""

    code = "interrupted"
    http_status = 503

    def __init__(self) -> None:
        super().__init__("The answer was interrupted; ask again.", retry_after=1.0)


@dataclass(eq=False, slots=True)
class Passenger:
    """A caller who waits for the answer, and could make the call."""

    lookup: Lookup
    answer: Answer
    error: AppError | None = field(default=None)  # the caller's own: the others go on


class Flight:
    """One call, and who in this process waits for its answer."""

    def __init__(self, key: str, answer_key: str) -> None:
        self.key = key
        self.kept: KeptAnswer | None = None  # it was there after all
        self.payer: Passenger | None = None  # whose call it is; None: another process makes it
        self.error: Exception | None = None
        self.is_over = False
        self._answer_key = answer_key
        self._events: list[Event] = []
        self._passengers: list[Passenger] = []
        self._lead: Lead | None = None
        self._tries_left = MOST_TRIES
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def board(self, passenger: Passenger) -> None:
        """Let somebody wait for the answer; the first one sets it going."""
        self._passengers.append(passenger)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def events(self, passenger: Passenger) -> AsyncGenerator[Event, None]:
        """Yield the answer from its beginning; what has gathered meanwhile comes in one piece."""
        position = 0
        while True:
            news = self._events[position:]
            position += len(news)
            for event in gathered(news):
                yield event
            if passenger.error is not None:
                raise own(passenger.error)
            if position < len(self._events):
                continue
            if not self.is_over:
                await self._news.wait()
            elif self.error is not None:
                raise own(self.error)
            else:
                return

    async def leave(self, passenger: Passenger) -> None:
        """Go without the rest. A call that nobody waits for is stopped and settled."""
        if passenger in self._passengers:
            self._passengers.remove(passenger)
        if self._passengers or self.is_over:
            return
        if self._lead is not None and self._lead.is_wanted:
            go_on(self._linger(self._lead))
            return
        await self.stop()

    async def stop(self) -> None:
        """End the call; return when it is in the books."""
        _forget(self)
        if self._task is not None and not self.is_over:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _linger(self, lead: Lead) -> None:
        """Let the call go on as long as somebody in another process waits for it."""
        while lead.is_wanted and self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=SIGN)
        if not self._passengers:
            await self.stop()

    async def _run(self) -> None:
        try:
            await self._fly()
        except asyncio.CancelledError:
            self.error = Interrupted()
            raise
        except Exception as error:  # the edge of a task: whoever waits gets it, and tells of it
            self.error = error
        finally:
            self.is_over = True
            _forget(self)
            self._tell()

    async def _fly(self) -> None:
        while True:
            claim = await exchanges.get().claim(self.key, self._answer_key)
            if isinstance(claim, KeptAnswer):
                self.kept = claim
                return
            if claim is not None:
                await self._make(claim)
                return
            if await self._follow():
                return

    async def _follow(self) -> bool:
        """Take what another process writes down; return whether that was an end.

        It was none where the call failed or its process died before anything was said: then one
        of those who wait makes the call.
        """
        exchange = exchanges.get()
        follow = exchange.follow(self.key)
        try:
            return await self._take(follow)
        except Unreadable:
            if self._events:
                raise ConnectionFailed(UNREADABLE) from None
        finally:
            exchange.unfollow(follow)
        await self._make(Lead(self.key))
        return True

    async def _take(self, follow: Follow) -> bool:
        leader = ""
        async with aclosing(follow.pages()) as read:
            async for page in read:
                if self._events and page.leader != leader:
                    break  # somebody else began anew
                leader = page.leader
                self._add(*pages.events_of(page))
                if page.failure is not None:
                    return self._failed_elsewhere(page)
                if page.finished is not None:
                    return True
        if self._events:
            raise ConnectionFailed(BROKEN_OFF)
        return False

    def _failed_elsewhere(self, page: pages.Page) -> bool:
        assert page.failure is not None  # noqa: S101 - for the type checker
        if self._events or not page.tries_left:
            raise pages.error_of(page.failure)
        self._tries_left = page.tries_left
        return False

    async def _make(self, lead: Lead) -> None:
        """Make the call for all who wait: one of them pays, and if it fails early another tries."""
        self._lead = lead
        lead.events = self._events
        failure: pages.Page | None = None
        try:
            while self._passengers:
                self.payer = self._passengers[0]
                try:
                    await self._speak(self.payer, lead)
                    return
                except AppError as error:
                    self._count(error)
                    failure = pages.last_page(lead.holder, error, tries_left=self._tries_left)
                    if not self._tries_left:
                        raise
                    self._refuse(self.payer, error)
        finally:
            await asyncio.shield(go_on(lead.land(failure=failure)))

    async def _speak(self, payer: Passenger, lead: Lead) -> None:
        async with aclosing(payer.answer()) as events:
            async for event in events:
                if isinstance(event, Finished):
                    await self._land(payer, lead, event)
                self._add(event)

    async def _land(self, payer: Passenger, lead: Lead, end: Finished) -> None:
        """Keep the answer and tell the others, before anybody here can ask for it again."""
        lead.events = [*self._events, end]
        entry = entry_of(payer.lookup, lead.events)
        await lead.land(entry=entry)
        if entry is not None:
            figures.note_written(payer.lookup, len(entry.encoded), entry.seconds)

    def _count(self, error: AppError) -> None:
        """Note a failure. Nobody tries again after content, or what would fail in the same way."""
        if isinstance(error, ProviderError):
            may_pass = error.is_retryable or error.can_fall_back
            self._tries_left = self._tries_left - 1 if may_pass else 0
        if self._events:
            self._tries_left = 0

    def _refuse(self, passenger: Passenger, error: AppError) -> None:
        """Tell one caller why its call failed; the others wait for the next try."""
        passenger.error = error
        if passenger in self._passengers:
            self._passengers.remove(passenger)
        self._tell()

    def _add(self, *events: Event) -> None:
        self._events.extend(events)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news.clear()


async def close() -> None:
    """End this event loop's flights, when the process ends."""
    for flight in list(_flights.get().values()):
        await flight.stop()
    await _open_work.finish()
    if exchange := exchanges.pop():
        await exchange.close()
    await figures.close()


def flight_for(lookup: Lookup) -> Flight:
    """Return the flight on which the answer comes: one that is under way, or a new one."""
    flights = _flights.get()
    key = f"{lookup.key}:{'stream' if lookup.request.stream else 'whole'}"
    found = flights.get(key)
    if found is None:
        found = flights[key] = Flight(key, lookup.key)
    return found


def _forget(flight: Flight) -> None:
    flights = _flights.get()
    if flights.get(flight.key) is flight:
        del flights[flight.key]


def go_on(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Run `work` to its end, although its caller may leave."""
    return _open_work.go_on(work)


_flights: LoopLocal[dict[str, Flight]] = LoopLocal(dict)
_open_work = OpenWork()  # of flights, and of those who leave them
