"""Several answers to one request (`n`): as many calls at once, each with books of its own.

So every vendor gives several, each is held, guarded and charged as any call, and what fails in one
ends all. They do not share an answer, and none comes from the cache: they would be the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import fields
from decimal import Decimal

from msgspec.structs import replace

from billing.pricing import TokenUsage
from gateway import encoding
from gateway.encoding import ChunkEncoder
from llm import service
from llm.types import Call, ChatRequest, Delta, Event, Finished, Started

Numbered = AsyncGenerator[tuple[int, Event], None]
Item = tuple[int, Event | Exception | None]


def streams(request: ChatRequest, call: Call, number: int) -> list[AsyncGenerator[Event, None]]:
    """Return the answers, none of which has begun; with a seed, each has the next one."""
    own = replace(call, cache=replace(call.cache, mode="off"))
    seeds = [None if request.seed is None else request.seed + index for index in range(number)]
    return [service.stream(replace(request, seed=seed), own) for seed in seeds]


async def together(answers: Sequence[AsyncGenerator[Event, None]]) -> Numbered:
    """Yield the events of all answers as they come, each with the number of its answer.

    Raises what one of them raises; the others are then stopped, and pay for what they have said.
    """
    coming: asyncio.Queue[Item] = asyncio.Queue(maxsize=len(answers))
    tasks = [asyncio.create_task(_pass_on(*one, coming)) for one in enumerate(answers)]
    try:
        running = len(tasks)
        while running:
            number, event = await coming.get()
            if isinstance(event, Exception):
                raise event
            if event is None:
                running -= 1
            else:
                yield number, event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class ChoicesEncoder:
    """The server-sent events of several answers: one id for all, and one end."""

    def __init__(self, started: Started, number: int, *, include_usage: bool) -> None:
        head = encoding.head_of(started)
        self._encoders = [
            ChunkEncoder(started, include_usage=include_usage, index=index, head=head)
            for index in range(number)
        ]
        self._finished: list[Finished] = []

    def event(self, number: int, event: Event) -> bytes:
        """Return what an event of an answer adds; after the last one's end, the end of all."""
        encoder = self._encoders[number]
        if isinstance(event, Delta):
            # The vendor's own bytes know of one answer only.
            return encoder.delta(replace(event, raw=None)) if _has_content(event) else b""
        if isinstance(event, Started):
            return b""
        self._finished.append(event)
        end = encoder.close(event)
        return end + encoder.done(total(self._finished)) if self.is_over else end

    @property
    def is_over(self) -> bool:
        return len(self._finished) == len(self._encoders)


class Gathered:
    """Several answers in one piece."""

    def __init__(self, number: int) -> None:
        self.started: Started | None = None  # of the one that began first
        self._deltas: list[list[Delta]] = [[] for _ in range(number)]
        self._finished: dict[int, Finished] = {}

    def add(self, number: int, event: Event) -> None:
        if isinstance(event, Started):
            self.started = self.started or event
        elif isinstance(event, Delta):
            self._deltas[number].append(event)
        else:
            self._finished[number] = event

    @property
    def total(self) -> Finished:
        return total([self._finished[number] for number in sorted(self._finished)])

    def body(self, started: Started) -> bytes:
        """Return the body that has them all."""
        choices = [
            encoding.choice(deltas, self._finished[number].finish_reason, index=number)
            for number, deltas in enumerate(self._deltas)
        ]
        return encoding.whole_of(started, choices, self.total.usage)


def total(finished: Sequence[Finished]) -> Finished:
    """Return what all answers took together; the cost is unknown where that of one is."""
    costs = [one.cost_usd for one in finished]
    known = [cost for cost in costs if cost is not None]
    return Finished(
        finish_reason=finished[0].finish_reason,
        usage=_sum([one.usage for one in finished]),
        is_estimated=any(one.is_estimated for one in finished),
        cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
    )


def _sum(usages: Sequence[TokenUsage]) -> TokenUsage:
    names = [one.name for one in fields(TokenUsage)]
    return TokenUsage(**{name: sum(getattr(one, name) for one in usages) for name in names})


def _has_content(delta: Delta) -> bool:
    return bool(delta.text or delta.reasoning or delta.tool_calls)


async def _pass_on(
    number: int, answer: AsyncGenerator[Event, None], coming: "asyncio.Queue[Item]"
) -> None:
    try:
        async with aclosing(answer):
            async for event in answer:
                await coming.put((number, event))
    except Exception as error:  # the edge of a task: whoever reads the queue raises it
        await coming.put((number, error))
    else:
        await coming.put((number, None))
