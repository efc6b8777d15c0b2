"""What processes tell each other, over Redis, of calls that several callers wait for.

Whoever makes a call holds a lease on it. Who waits for the same answer leaves a note in the inbox
of the holder's process, and from then on the holder writes what comes into a stream. So a call that
nobody else waits for takes two commands and no log.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from core import redis
from core.batching import Batcher
from core.loop_local import LoopLocal
from core.repeating import Repeating
from llm.caching import commands, kept
from llm.caching.commands import Command, Errand
from llm.caching.follows import Follow
from llm.caching.leads import Lead
from llm.caching.redis_outage import ask
from llm.types import KeptAnswer

TICK = 0.03  # seconds between two looks at inbox and logs

Replies = list[Any] | None  # None: Redis is away


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
            replies = await self.send([commands.claim(key, answer_key, holder)])
        except asyncio.CancelledError:  # nobody would give it back
            self._batcher.enqueue([commands.release(key, holder)])
            raise
        if replies is None:
            return Lead(key)
        [reply] = replies
        if isinstance(reply, bytes) and (answer := kept.decode(reply)):
            return answer
        if reply != commands.CLAIMED:
            return None if reply == commands.LED else Lead(key)
        lead = self._leads[key] = Lead(key, holder, end=partial(self._end, key))
        self._ticker.begin()
        return lead

    def follow(self, key: str) -> Follow:
        """Begin to read what the leader of this call writes, from its beginning."""
        follow = Follow(key)
        self._follows.add(follow)
        self._ticker.begin()
        return follow

    def unfollow(self, follow: Follow) -> None:
        self._follows.discard(follow)

    async def send(self, said: Sequence[Command]) -> Replies:
        """Return Redis's replies, in order."""
        return await self._batcher.submit(said)

    async def close(self) -> None:
        """Stop, when the event loop ends."""
        await self._ticker.stop()
        self._give_up()
        await self._batcher.drain()

    async def _end(self, key: str, said: Sequence[Command]) -> None:
        """Say the last of a call that was led here."""
        self._leads.pop(key, None)
        await self.send(said)

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
            yield commands.take_notes(self._id), self._read_notes
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
    replies = await ask(partial(redis.send_all, batches))
    return [None] * len(batches) if replies is None else replies


exchanges: LoopLocal[Exchange] = LoopLocal(Exchange)
