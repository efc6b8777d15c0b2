"""What processes tell each other, over Redis, of calls that several callers wait for.

Whoever makes a call holds a lease on it. Who waits for the same answer leaves a note in the inbox
of the holder's process, and from then on the holder writes what comes into a stream. So a call that
nobody else waits for takes two commands and no log.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from core import redis
from core.batching import Batcher
from core.loop_local import LoopLocal
from core.repeating import Repeating
from llm.caching import kept, pages
from llm.caching.exact import Entry
from llm.caching.pages import Page
from llm.caching.redis_outage import ask
from llm.types import Event, KeptAnswer

LEASE = 2.5  # seconds; a process that says nothing for so long has lost its calls
SIGN = 0.5  # seconds between two signs of life, of those who hold and of those who wait
TICK = 0.03  # seconds between two looks at inbox and logs
WANTED = 4 * SIGN  # seconds that a note in the inbox counts
LOG_KEPT = 10  # seconds after the end, for those who read slowly
LOG_FORGOTTEN = 60  # seconds without a sign of life of who writes it
MOST_NOTES = 1000  # read at once

Command = tuple[Any, ...]
Replies = list[Any] | None  # None: Redis is away
Errand = tuple[Command, Callable[[Any], None]]

# KEYS: lease, log, kept answer. ARGV: holder, milliseconds of the lease, of an inbox, inbox prefix.
NOTE = """
local holder = redis.call('GET', KEYS[1])
if not holder then return 0 end
local inbox = ARGV[4] .. string.sub(holder, 1, 32)
redis.call('RPUSH', inbox, KEYS[1])
redis.call('PEXPIRE', inbox, ARGV[3])
return 1
"""
CLAIM = f"""
local kept = redis.call('GET', KEYS[3])
if kept then return kept end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 2
end
{NOTE}"""
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
CLAIMED = 2


def log_of(key: str) -> str:
    return f"{key}:log"


def release(key: str, holder: str) -> Command:
    return ("EVAL", RELEASE, 1, key, holder)


class Lead:
    """The right to make a call, and what those who wait for it elsewhere are told.

    Without an exchange nobody waits elsewhere: Redis is away.
    """

    def __init__(self, key: str, exchange: "Exchange | None", holder: str = "") -> None:
        self.events: Sequence[Event] = ()  # what has come; whoever makes the call adds to it
        self.holder = holder
        self._key = key
        self._exchange = exchange
        self._told = 0  # how many of the events
        self._wanted_at: float | None = None
        self._renew_at = time.monotonic() + SIGN
        self._is_lost = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody in another process waits for the answer."""
        wanted_at = self._wanted_at
        is_noted = wanted_at is not None and time.monotonic() < wanted_at + WANTED
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
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        exchange.forget(self._key)
        commands: list[Command] = []
        if entry is not None:
            commands.append(("SET", entry.key, entry.encoded, "EX", entry.seconds))
        if self._wanted_at is not None and not self._is_lost:
            commands += self._write(failure)
            commands.append(("EXPIRE", log_of(self._key), LOG_KEPT))
        commands.append(release(self._key, self.holder))
        await exchange.send(commands)

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
            self._renew_at = now + SIGN
            command = ("EVAL", RENEW, 1, self._key, self.holder, int(LEASE * 1000))
            yield command, self._renewed
            if self._wanted_at is not None:
                yield ("EXPIRE", log_of(self._key), LOG_FORGOTTEN), _ignore
        if self._wanted_at is not None:
            for written in self._write():
                yield written, _ignore

    def _write(self, failure: Page | None = None) -> list[Command]:
        """Return the commands that write down what has come since the last time."""
        log, is_new = log_of(self._key), self._told == 0
        news = self.events[self._told :]
        self._told += len(news)
        written = [pages.page_of(self.holder, news)] if news else []
        if failure is not None:
            written.append(failure)
        commands: list[Command] = [
            ("XADD", log, "*", "page", pages.encode(page)) for page in written
        ]
        if commands and is_new:  # whoever is killed leaves nothing for ever
            commands.append(("EXPIRE", log, LOG_FORGOTTEN))
        return commands

    def _renewed(self, is_ours: int) -> None:
        if not is_ours:
            self.lose()


class Follow:
    """What another process writes down of the call that it makes."""

    def __init__(self, key: str, exchange: "Exchange") -> None:
        self._key = key
        self._exchange = exchange
        self._read: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._from: bytes = b"-"
        self._sign_at = time.monotonic() + SIGN
        self._heard_at = time.monotonic()
        self._is_suspect = False

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Yield page after page; the end without a last page means that the leader is gone.

        Raises `Unreadable`.
        """
        while (page := await self._read.get()) is not None:
            yield pages.decode(page)

    def errands(self, now: float) -> Iterator[Errand]:
        """Yield what is to be said to Redis now."""
        yield ("XRANGE", log_of(self._key), self._from, "+", "COUNT", 500), self._turn
        if now >= self._sign_at:
            self._sign_at = now + SIGN
            yield self._exchange.script(NOTE, self._key), self._noted

    def cut_off(self, now: float) -> None:
        """Give up when Redis has been away for longer than a leader may be silent."""
        if now > self._heard_at + LEASE:
            self.end()

    def end(self) -> None:
        """Read no more."""
        self._read.put_nowait(None)

    def _turn(self, entries: list[tuple[bytes, dict[bytes, bytes]]] | None) -> None:
        self._heard_at = time.monotonic()
        for number, fields in entries or ():
            self._from = b"(" + number
            self._read.put_nowait(fields[b"page"])
        # The log is read before the lease is looked at: what the leader wrote last was not missed.
        if self._is_suspect and not entries:
            self.end()
        self._is_suspect = False

    def _noted(self, is_led: int) -> None:
        self._is_suspect = not is_led


class Exchange:
    """One event loop's part in it: all its calls are looked after in one round trip a tick."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._leads: dict[str, Lead] = {}
        self._follows: set[Follow] = set()
        self._ticker = Repeating(self._tick, seconds=TICK)
        # One batch at a time: what is written first arrives first.
        self._batcher: Batcher[Sequence[Command], Replies] = Batcher(_send)

    async def claim(self, key: str, answer_key: str) -> Lead | KeptAnswer | None:
        """Return the right to make the call, or its answer; `None` while another one makes it."""
        holder = self._id + uuid4().hex
        try:
            replies = await self.send([self.script(CLAIM, key, answer_key, holder=holder)])
        except asyncio.CancelledError:  # nobody would give it back
            self._batcher.enqueue([release(key, holder)])
            raise
        if replies is None:
            return Lead(key, None)
        [reply] = replies
        if isinstance(reply, bytes) and (answer := kept.decode(reply)):
            return answer
        if reply != CLAIMED:
            return None if reply == 1 else Lead(key, None)
        lead = self._leads[key] = Lead(key, self, holder)
        self._ticker.begin()
        return lead

    def follow(self, key: str) -> Follow:
        """Begin to read what the leader of this call writes, from its beginning."""
        follow = Follow(key, self)
        self._follows.add(follow)
        self._ticker.begin()
        return follow

    def unfollow(self, follow: Follow) -> None:
        self._follows.discard(follow)

    def forget(self, key: str) -> None:
        self._leads.pop(key, None)

    async def send(self, commands: Sequence[Command]) -> Replies:
        return await self._batcher.submit(commands)

    def script(self, text: str, key: str, answer_key: str = "", *, holder: str = "") -> Command:
        """Return the command that runs one of the scripts above."""
        keys = (key, log_of(key), answer_key)
        milliseconds = (int(LEASE * 1000), int(2 * WANTED * 1000))
        return ("EVAL", text, len(keys), *keys, holder, *milliseconds, redis.key("inbox", ""))

    async def close(self) -> None:
        """Stop, when the event loop ends."""
        await self._ticker.stop()
        self._give_up()
        await self._batcher.drain()

    async def _tick(self) -> bool:
        try:
            await self._run(list(self._errands(time.monotonic())))
        except Exception:
            self._give_up()
            raise
        return bool(self._leads or self._follows)

    def _give_up(self) -> None:
        """Let nobody wait for what is not read any more."""
        for lead in self._leads.values():
            lead.lose()
        for follow in self._follows:
            follow.end()

    def _errands(self, now: float) -> Iterator[Errand]:
        if self._leads:
            yield ("LPOP", redis.key("inbox", self._id), MOST_NOTES), self._read_notes
        for lead in self._leads.values():
            yield from lead.errands(now)
        for follow in self._follows:
            yield from follow.errands(now)

    async def _run(self, errands: Sequence[Errand]) -> None:
        if not errands:
            return
        leads = list(self._leads.values())
        replies = await self.send([command for command, _ in errands])
        if replies is None:
            for lead in leads:
                lead.lose()
            for follow in self._follows:
                follow.cut_off(time.monotonic())
            return
        for (_, done), reply in zip(errands, replies, strict=True):
            done(reply)

    def _read_notes(self, notes: list[bytes] | None) -> None:
        for note in set(notes or ()):
            if lead := self._leads.get(note.decode()):
                lead.note()


async def _send(batches: Sequence[Sequence[Command]]) -> Sequence[Replies]:
    """Send the commands of several in one round trip."""

    async def send(client: Redis) -> list[Any]:
        async with client.pipeline(transaction=False) as pipeline:
            for commands in batches:
                for command in commands:
                    pipeline.execute_command(*command)
            return await pipeline.execute()

    replies = await ask(send)
    if replies is None:
        return [None] * len(batches)
    coming = iter(replies)
    return [[next(coming) for _ in commands] for commands in batches]


def _ignore(_: Any) -> None:
    """Take a reply that says nothing."""


exchanges: LoopLocal[Exchange] = LoopLocal(Exchange)
