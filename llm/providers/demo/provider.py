"""Answers word by word, at the pace of a model."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from billing.pricing import TokenUsage
from llm import tokens
from llm.providers.base import Connection, Deployment, Untaken, Vectors, Verdict
from llm.providers.demo import faults, inputs
from llm.providers.demo.replies import reply_to
from llm.tools.calls import merged
from llm.types import ChatRequest, Delta, End

TOKENS_PER_SECOND = {"demo-small": 60.0, "demo-large": 35.0}
MODELS = tuple(TOKENS_PER_SECOND)
THINKING_SECONDS = 0.2  # before the first token


class DemoProvider:
    """Needs no key and no network, and always answers alike; it says so."""

    def __init__(self, connection: Connection) -> None:
        """Take what every provider is made of; there is nothing to connect to."""

    async def models(self) -> dict[str, int | None]:
        """Return the models that answer; the faults are known to who needs them."""
        return dict.fromkeys(MODELS)

    async def embed(
        self, texts: Sequence[str], deployment: Deployment, dimensions: int | None
    ) -> Vectors:
        """Return vectors that are near each other where the texts share words, or the fault."""
        await faults.before_answer(deployment.model, deployment.timeouts)
        return inputs.embed(texts, dimensions)

    async def moderate(self, text: str, deployment: Deployment) -> Verdict:
        """Flag a short list of words (`llm.providers.demo.inputs`), or raise the fault."""
        await faults.before_answer(deployment.model, deployment.timeouts)
        return inputs.moderate(text)

    async def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the demo's answer, or the fault that the model is named after."""
        model, timeouts = deployment.model, deployment.timeouts
        await faults.before_answer(model, timeouts)
        limit = request.max_tokens or deployment.max_output_tokens
        pieces, finish_reason = reply_to(request, model).cut(limit)
        sent: list[Delta] = []
        async with aclosing(_paced(pieces, TOKENS_PER_SECOND.get(model))) as paced:
            async for piece in paced:
                await faults.after_piece(model, len(sent), timeouts)
                sent.append(piece)
                if request.stream:
                    yield piece
        if sent and not request.stream:
            yield _joined(sent)
        usage = TokenUsage(
            input_tokens=tokens.count_request(request, model), output_tokens=len(sent)
        )
        yield End(
            finish_reason=finish_reason,
            usage=None if model == "fault-usage-missing" else usage,
            model=model,
        )


def untaken(request: ChatRequest) -> Untaken | None:
    """Return the parameter that would be seen to be missing from the demo's answers."""
    if not request.extra.get("logprobs"):
        return None
    return Untaken("logprobs", "The demo models have no probabilities of tokens.")


async def _paced(pieces: Sequence[Delta], per_second: float | None) -> AsyncGenerator[Delta, None]:
    """Yield the pieces on a fixed schedule; a slow reader does not slow it down further."""
    if per_second is None:
        for piece in pieces:
            yield piece
        return
    loop = asyncio.get_running_loop()
    due_at = loop.time() + THINKING_SECONDS
    for piece in pieces:
        if (wait := due_at - loop.time()) > 0:
            await asyncio.sleep(wait)
        yield piece
        due_at += 1 / per_second


def _joined(pieces: Sequence[Delta]) -> Delta:
    """Return the answer in one piece."""
    calls = merged(call for piece in pieces for call in piece.tool_calls)
    return Delta("".join(piece.text for piece in pieces), tool_calls=calls)
