"""`POST /v1/responses`: OpenAI's Responses API on every model; nothing of a response is kept."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from core.errors import AppError, own
from gateway import extensions
from gateway.calls import begun, call_of, relay, send_whole
from gateway.http import ApiConsumer
from gateway.responses import answer, conversion, events, logprobs, tools, wire
from gateway.responses.events import EventEncoder
from gateway.responses.tools import FunctionTool
from gateway.responses.wire import CreateResponse
from gateway.responses.writing import Output
from llm import service
from llm.types import Delta, Event, Finished, Started

# Fields that the layers below know by their names in chat completions.
NAMES = {
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}


class Responses(ApiConsumer):
    """`POST /v1/responses`."""

    method = "POST"
    scope_needed = "chat"
    is_made_once = True
    _encoder: EventEncoder | None = None  # of a stream that has begun

    async def handle(self, body: bytes) -> None:
        asked = wire.parse(body)
        functions = tools.functions_of(asked.tools)
        request, call = conversion.request_of(asked, functions), call_of(self, asked.parley)
        request, call = await extensions.applied(asked.parley, request, call)
        async with aclosing(service.stream(request, call)) as answering:
            if asked.stream:
                await self._stream(answering, asked, functions)
            else:
                await send_whole(self, answering, partial(_whole, asked, functions))

    def error_body(self, error: AppError) -> bytes:
        return super().error_body(_renamed(error))

    def error_event(self, error: AppError) -> bytes:
        if self._encoder is None:  # it was silent so long that the stream began without it
            return events.error_event(_renamed(error))
        return self._encoder.fail(_renamed(error))

    async def _stream(
        self,
        answering: AsyncGenerator[Event, None],
        asked: CreateResponse,
        functions: tuple[FunctionTool, ...],
    ) -> None:
        started = await begun(self, answering)
        response = answer.begun(asked, functions, started)
        encoder = EventEncoder(started, response, wants_logprobs=asked.wants_logprobs)
        self._encoder = encoder
        await self.send_body(encoder.begin(), more_body=True)
        await relay(self, answering, encoder)


def _whole(
    asked: CreateResponse,
    functions: tuple[FunctionTool, ...],
    started: Started,
    deltas: Sequence[Delta],
    finished: Finished,
) -> bytes:
    response = answer.begun(asked, functions, started)
    output = Output(started.usage_id.hex)
    for delta in deltas:
        output.add(delta, logprobs.read(delta.raw) if asked.wants_logprobs else [])
    events.close(response, output, started, finished)
    return answer.body(response)


def _renamed(error: AppError) -> AppError:
    """Return the error with the field's name as it is here."""
    if error.param not in NAMES:
        return error
    renamed = own(error)
    renamed.param = NAMES[error.param]
    return renamed
