"""Vectors for texts. Calls of an organization that come at the same time share a vendor's call."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from asgiref.sync import sync_to_async

from billing.ledger import Settlement
from billing.pricing import TokenUsage
from core.errors import InvalidRequest
from llm import guardrails, limits, tokens
from llm.attempts import retrying
from llm.attempts.retrying import Turn
from llm.embeddings import shared
from llm.embeddings.shared import MOST_INPUTS, MOST_TOKENS, Embedded, Part
from llm.guardrails.requests import texts_of
from llm.providers.base import Embedder
from llm.routing import inputs, routes
from llm.routing.routes import Route
from llm.types import Call, ChatRequest, Finished, Message, Started

__all__ = ["Embeddings", "ask", "embed"]

AT_ONCE = 4  # vendor calls for one caller

Counts = Mapping[str, Sequence[int]]  # the tokens of each text, by encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """A vector for each text, in order, and what they cost together."""

    vectors: tuple[Sequence[float], ...]  # numbers of 32 bits
    usage: TokenUsage
    is_estimated: bool
    cost_usd: Decimal | None  # None: the model has no price
    started: Started  # the first of the vendor calls that were made
    room_usd: Decimal | None  # after it on hard budgets; None: several were made, or as there

    @property
    def model(self) -> str:
        """How the vendor names what it served."""
        return self.started.model

    @property
    def finished(self) -> Finished:
        """What all vendor calls took together."""
        return Finished(
            finish_reason="stop",
            usage=self.usage,
            is_estimated=self.is_estimated,
            cost_usd=self.cost_usd,
            room_usd=self.room_usd,
        )


async def ask(
    texts: Sequence[str], *, model: str, call: Call, dimensions: int | None = None
) -> Embeddings:
    """Do what `embed` does for a caller of Parley: within limits, and past the guardrails.

    To both, a text is a message of a user. What they replace in it is not in its vector. Raises
    `LimitExceeded`, `Blocked` and `Unavailable` as well.
    """
    _check(texts, dimensions)
    await routes.find(model, call.principal)  # who may not ask for it takes nothing of a limit
    messages = tuple([Message("user", text) for text in texts])
    request = ChatRequest(model=model, messages=messages, max_tokens=0)
    admission = await limits.admit(request, call)
    finished: Finished | None = None
    try:
        request = await guardrails.check_request(request, call)
        allowed = [text.text for text in texts_of(request)]
        made = await embed(allowed, model=model, call=call, dimensions=dimensions)
        finished = made.finished
        return replace(made, started=admission.mark(made.started))
    finally:
        await admission.release(finished)


async def embed(
    texts: Sequence[str], *, model: str, call: Call, dimensions: int | None = None
) -> Embeddings:
    """Return a vector for each text, at the caller's expense.

    Raises `InvalidRequest`, and what `llm.service.stream` raises before `Started`. Where the texts
    take several vendor calls and one fails, those that were made are paid all the same.
    """
    _check(texts, dimensions)
    route = await routes.find(model, call.principal)
    counts = await _count(texts, route)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(chunk: slice) -> Embedded:
        async with limit:
            return await _embed(Part(call, model, texts[chunk], dimensions), route, counts, chunk)

    tasks = [asyncio.ensure_future(one(chunk)) for chunk in _chunks(counts, route)]
    try:
        return _joined(await asyncio.gather(*tasks))
    finally:
        for task in tasks:  # where one has failed
            task.cancel()


async def _embed(part: Part, route: Route, counts: Counts, chunk: slice) -> Embedded:
    def count(model: str) -> tuple[int, int]:
        own = counts[tokens.encoding_name(model)][chunk]
        return sum(own), max(own)

    async def attempt(turn: Turn) -> tuple[Embedded, Settlement | None]:
        embedded = await shared.embed(part, turn)
        return embedded, embedded.meter.settlement

    plan = await inputs.plan_for(route, part.call, count, Embedder)
    return await retrying.first_success(part.call, plan, attempt)


def _check(texts: Sequence[str], dimensions: int | None) -> None:
    if not texts:
        raise InvalidRequest("There is no text.", param="input")
    if "" in texts:
        raise InvalidRequest(f"Text {texts.index('') + 1} is empty.", param="input")
    if dimensions is not None and dimensions < 1:
        raise InvalidRequest("There must be at least one dimension.", param="dimensions")


async def _count(texts: Sequence[str], route: Route) -> Counts:
    models = {tokens.encoding_name(one.model): one.model for one in route.deployments}

    def counted() -> Counts:
        return {
            encoding: [tokens.count(text, model) for text in texts]
            for encoding, model in models.items()
        }

    if sum(map(len, texts)) < tokens.LONG:
        return counted()
    return await sync_to_async(counted, thread_sensitive=False)()


def _chunks(counts: Counts, route: Route) -> Iterator[slice]:
    """Yield which texts go into a vendor call together, as the first deployment counts them."""
    counted = counts[tokens.encoding_name(route.deployments[0].model)]
    start = total = 0
    for position, count in enumerate(counted):
        if position > start and (total + count > MOST_TOKENS or position - start == MOST_INPUTS):
            yield slice(start, position)
            start, total = position, 0
        total += count
    yield slice(start, len(counted))


def _joined(parts: Sequence[Embedded]) -> Embeddings:
    bills = [part.finished for part in parts]
    costs = [bill.cost_usd for bill in bills]
    return Embeddings(
        vectors=tuple(vector for part in parts for vector in part.vectors),
        usage=TokenUsage(input_tokens=sum(bill.usage.total_input for bill in bills)),
        is_estimated=any(bill.is_estimated for bill in bills),
        cost_usd=None if None in costs else sum((cost or Decimal(0) for cost in costs), Decimal(0)),
        started=parts[0].started,
        room_usd=bills[0].room_usd if len(bills) == 1 else None,
    )
