"""`POST /v1/responses`: OpenAI's Responses API on every model; nothing of a response is kept."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from core.errors import AppError, own
from gateway import extensions
from gateway.answer_headers import about, cost
from gateway.calls import begun, call_of, first
from gateway.http import ApiConsumer
from gateway.pacing import paced
from gateway.responses import answer, conversion, events, logprobs, tools, wire
from gateway.responses.events import EventEncoder
from gateway.responses.tools import FunctionTool
from gateway.responses.wire import CreateResponse
from gateway.responses.writing import Output
from llm import service
from llm.types import Delta, Event, Finished

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
        said = asked.parley or extensions.NONE
        prompt = await extensions.prompt_for(said, self.principal)
        request = conversion.request_of(asked, functions, prompt)
        async with aclosing(service.stream(request, call_of(self, said, prompt))) as answering:
            tell = self._stream if asked.stream else self._whole
            await tell(answering, asked, functions)

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
        """Send events as they come. Whatever fails from here on ends in a failed response."""
        started = await begun(self, answering)
        response = answer.begun(asked, functions, started)
        encoder = EventEncoder(started, response, wants_logprobs=asked.wants_logprobs)
        self._encoder = encoder
        await self.send_body(encoder.begin(), more_body=True)
        async with aclosing(paced(answering)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Delta) and (told := encoder.delta(piece)):
                    await self.send_body(told, more_body=True)
                elif isinstance(piece, Finished):
                    await self.send_body(encoder.finish(piece))

    async def _whole(
        self,
        answering: AsyncGenerator[Event, None],
        asked: CreateResponse,
        functions: tuple[FunctionTool, ...],
    ) -> None:
        started = await first(answering)
        response = answer.begun(asked, functions, started)
        output = Output(started.usage_id.hex)
        async for piece in answering:
            if isinstance(piece, Delta):
                output.add(piece, logprobs.read(piece.raw) if asked.wants_logprobs else [])
            elif isinstance(piece, Finished):
                events.close(response, output, started, piece)
                headers = [*about(started), *cost(piece)]
                await self.send_json(answer.body(response), *headers)


def _renamed(error: AppError) -> AppError:
    """Return the error with the field's name as it is here."""
    if error.param not in NAMES:
        return error
    renamed = own(error)
    renamed.param = NAMES[error.param]
    return renamed
