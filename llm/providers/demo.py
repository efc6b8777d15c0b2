"""A provider that needs no key and no network: it answers at once, always alike, and says so.

Models named `fault-*` fail on demand, for tests and drills.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing.pricing import TokenUsage
from llm import tokens
from llm.errors import ConnectionFailed, RateLimited, ServerError
from llm.providers.base import Connection, Deployment
from llm.types import ChatRequest, Delta, End, FinishReason, TextPart

TOKENS_PER_SECOND = {"demo-small": 60.0, "demo-large": 35.0}
MODELS = tuple(TOKENS_PER_SECOND)
FAULTS = ("fault-429", "fault-500", "fault-stall", "fault-cut-20", "fault-empty")
THINKING_SECONDS = 0.2  # before the first token
TOKEN = re.compile(r"\s*\S{1,6}")  # about as long as a model's

ANSWER = """\
This is Parley's demo model `{model}`. It writes this text without a language model, so that you \
can try everything else before you have a key.

You asked: "{question}"

Here is what happened to your question:

1. Parley took it with what was said before it (messages in all: {messages}).
2. It held the most that the answer can cost on every budget that applies.
3. It sent the conversation to this model, and relays each word as it comes.
4. When the last word is out, it books the true cost: the hold becomes a price.

A program would ask the same like this:

```python
from openai import OpenAI

client = OpenAI(base_url="https://parley.example/v1", api_key="pk-...")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)
```
"""
MORE = """
You wrote a longer question, so here is a longer answer, with something for the eye:

| step | what it does | who sees it |
|---|---|---|
| guard | checks size and limits | the caller, when it refuses |
| hold | takes the worst case from the budget | staff, as *held* |
| settle | books the true cost | everyone |

> Connect a real provider, and the same page, the same socket and the same API speak to it.
"""


class DemoProvider:
    """Answers from a template, word by word, at the pace of a model."""

    def __init__(self, connection: Connection) -> None:
        """Take what every provider is made of; there is nothing to connect to."""

    async def stream(
        self, request: ChatRequest, deployment: Deployment
    ) -> AsyncGenerator[Delta | End, None]:
        """Yield the demo's answer, or the fault that the model is named after."""
        pieces = TOKEN.findall(_answer(request, deployment.model))
        pieces, finish_reason = _cut(pieces, request.max_tokens or deployment.max_output_tokens)
        sent: list[str] = []
        async with aclosing(_script(deployment.model, pieces)) as script:
            async for piece in script:
                sent.append(piece)
                if request.stream:
                    yield Delta(piece)
        if sent and not request.stream:
            yield Delta("".join(sent))
        yield End(
            finish_reason=finish_reason,
            usage=TokenUsage(
                input_tokens=tokens.count_request(request, deployment.model),
                output_tokens=len(sent),
            ),
            model=deployment.model,
        )


async def _script(model: str, pieces: list[str]) -> AsyncGenerator[str, None]:
    """Play the model's part: its pace, or its fault."""
    match model:
        case "fault-429":
            raise RateLimited("The demo model is rate limited, as its name asks.", retry_after=1)
        case "fault-500":
            raise ServerError("The demo model failed, as its name asks.")
        case "fault-stall":
            await asyncio.Event().wait()
        case "fault-empty":
            return
    rest = pieces[:20] if model == "fault-cut-20" else pieces
    async with aclosing(_paced(rest, TOKENS_PER_SECOND.get(model))) as paced:
        async for piece in paced:
            yield piece
    if model == "fault-cut-20":
        raise ConnectionFailed("The demo model hung up after 20 tokens, as its name asks.")


async def _paced(pieces: list[str], per_second: float | None) -> AsyncGenerator[str, None]:
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


def _answer(request: ChatRequest, model: str) -> str:
    question = _last_question(request)
    shown = question if len(question) <= 200 else question[:199] + "…"
    answer = ANSWER.format(
        model=model, question=shown.replace("\n", " "), messages=len(request.messages)
    )
    return answer + MORE if len(question) > 200 else answer


def _last_question(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message.role != "user" or message.content is None:
            continue
        if isinstance(message.content, str):
            return message.content.strip()
        texts = [part.text for part in message.content if isinstance(part, TextPart)]
        return " ".join(texts).strip()
    return ""


def _cut(pieces: list[str], limit: int) -> tuple[list[str], FinishReason]:
    if len(pieces) > limit:
        return pieces[:limit], "length"
    return pieces, "stop"
