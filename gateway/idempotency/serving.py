"""A request with a key: made here, followed as it is made, or answered from what is kept."""

import asyncio
from contextlib import aclosing
from typing import ClassVar, Protocol
from uuid import uuid4

from asgiref.sync import sync_to_async

from accounts.principal import Principal
from core.loop_local import LoopLocal
from core.open_work import OpenWork
from core.repeating import Repeating
from core.request_id import Scope, Send
from gateway import redis_line
from gateway.errors import Headers
from gateway.idempotency import following, log
from gateway.idempotency.asking import Asked, asked, fingerprint_of, is_resumption
from gateway.idempotency.errors import Interrupted, KeyReused, NothingToResume, NotKept, away
from gateway.idempotency.log import Head, Log, State
from gateway.idempotency.recording import Parts, Recording

REPLAYED = (b"idempotency-replayed", b"true")
LONG = 100_000  # bytes; to read more takes longer than a switch to a thread
LAST_SECONDS = 5.0  # that answers have to come to an end when the process ends
MOST_TRIES = 40  # to give back what was taken while Redis did not answer
REFUSALS = {
    "unknown": NothingToResume,
    "reused": KeyReused,
    "interrupted": Interrupted,
    "not_kept": NotKept,
}


class Consumer(Protocol):
    """Who asks, and is answered."""

    scope: Scope
    principal: Principal
    alive_event: ClassVar[bytes]
    is_started: bool

    def header(self, name: bytes) -> str: ...
    def keep_alive(self) -> None: ...
    async def answer_to(self, send: Send, body: bytes) -> None: ...
    async def send_headers(self, *, status: int, headers: Headers) -> None: ...
    async def send_body(self, body: bytes, *, more_body: bool = False) -> None: ...


async def serve(consumer: Consumer, body: bytes) -> None:
    """Answer the request once, whoever repeats it; an `AppError` becomes the answer."""
    wanted = asked(
        api_key_id=consumer.principal.api_key_id,
        path=consumer.scope["path"],
        header=consumer.header,
        fingerprint=await _fingerprint(consumer, body),
    )
    # A client that leaves here is one that comes back: the request is taken, so it is made.
    opening = _open_work.go_on(_open(consumer, wanted, body))
    opening.add_done_callback(_look)
    parts, said = await asyncio.shield(opening)
    await _relay(consumer, parts, said)


async def close() -> None:
    """End this event loop's answers, when the process ends; each is kept or said to be broken."""
    await _answers.finish(LAST_SECONDS)
    await _answers.cancel()
    await _open_work.finish(LAST_SECONDS)
    await _signs.get().stop()
    await redis_line.drain()


async def _open(consumer: Consumer, wanted: Asked, body: bytes) -> tuple[Parts, Headers]:
    """Return the answer's parts and what to say of it; begin to make it if nobody has."""
    state, holder = await _claim(wanted)
    if refusal := REFUSALS.get(state):
        raise refusal
    if state == "begun":
        return _begin(consumer, Log(wanted.record, holder), body).parts(0), []
    if recording := _recordings.get().get(holder):
        return recording.parts(wanted.after), [REPLAYED]
    return following.parts(Log(wanted.record, holder), wanted.after), [REPLAYED]


async def _fingerprint(consumer: Consumer, body: bytes) -> str:
    if is_resumption(consumer.scope["method"], consumer.header):
        return ""
    if len(body) > LONG:
        return await sync_to_async(fingerprint_of, thread_sensitive=False)(body)
    return fingerprint_of(body)


async def _claim(wanted: Asked) -> tuple[State, str]:
    holder = uuid4().hex
    said = log.claim(
        wanted.record,
        fingerprint=wanted.fingerprint,
        holder=holder,
        may_begin=wanted.may_begin,
    )
    replies = await redis_line.send([said])
    if replies is None:
        _open_work.go_on(_give_back(Log(wanted.record, holder)))
        raise away()
    [[state, of]] = replies
    return state.decode(), of.decode()


async def _give_back(of: Log) -> None:
    """Forget a request that may have been taken although no answer came: nobody makes it."""
    for _ in range(MOST_TRIES):
        await asyncio.sleep(log.SIGN)
        if await redis_line.send(of.end("forgotten", 0)) is not None:
            return


def _begin(consumer: Consumer, of: Log, body: bytes) -> Recording:
    recording = Recording(of, alive_event=consumer.alive_event)
    _recordings.get()[of.holder] = recording
    _signs.get().begin()
    recording.begin(_answers.go_on(_make(consumer, of.holder, recording, body)))
    return recording


async def _make(consumer: Consumer, holder: str, recording: Recording, body: bytes) -> None:
    """Answer into the recording, whether or not anybody still listens."""
    try:
        await consumer.answer_to(recording.take, body)
    finally:
        closing = _open_work.go_on(recording.close())
        closing.add_done_callback(lambda _: _recordings.get().pop(holder, None))
        await asyncio.shield(closing)


async def _relay(consumer: Consumer, parts: Parts, said: Headers) -> None:
    """Send the parts; a body in one piece begins with it, for its length has been promised."""
    head: Head | None = None
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, Head):
                head = part
                if head.is_stream:
                    await consumer.send_headers(status=head.status, headers=head.headers + said)
                    consumer.keep_alive()
                continue
            if head is not None and not consumer.is_started:
                await consumer.send_headers(status=head.status, headers=head.headers + said)
            await consumer.send_body(part, more_body=True)
    if head is not None and not consumer.is_started:
        await consumer.send_headers(status=head.status, headers=head.headers + said)
    await consumer.send_body(b"")


def _look(opening: "asyncio.Task[tuple[Parts, Headers]]") -> None:
    if not opening.cancelled():
        opening.exception()  # the client hears of it, if it is still there


async def _sign() -> bool:
    """Tell the other processes that this one still makes its answers."""
    recordings = list(_recordings.get().values())
    if recordings:
        await redis_line.send([recording.sign() for recording in recordings])
    return bool(_recordings.get())


_recordings: LoopLocal[dict[str, Recording]] = LoopLocal(dict)  # by holder
_signs: LoopLocal[Repeating] = LoopLocal(lambda: Repeating(_sign, seconds=log.SIGN))
_answers = OpenWork()
_open_work = OpenWork()  # what must come to its end although its caller has left
