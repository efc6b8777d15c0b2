"""`/v1/responses`: OpenAI's Responses API on every model; responses are kept for a while."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import msgspec

from accounts.principal import Principal
from core.errors import AppError, NotFound, own
from gateway import extensions, paging
from gateway.calls import begun, call_of, relay, send_whole
from gateway.http import ApiConsumer
from gateway.redis_line import Replies
from gateway.responses import answer, conversion, earlier, events, kept, logprobs, tools, wire
from gateway.responses.answer import Response
from gateway.responses.events import EventEncoder
from gateway.responses.items import Sent
from gateway.responses.tools import FunctionTool
from gateway.responses.wire import CreateResponse
from gateway.responses.writing import Output
from llm import service
from llm.types import ChatRequest, Delta, Event, Finished, Started

# Fields that the layers below know by their names in chat completions.
NAMES = {
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """What the address of a response may say beside its id."""


_nothing_more = msgspec.json.Decoder(_Nothing)


class Responses(ApiConsumer):
    """`POST /v1/responses`."""

    method = "POST"
    scope_needed = "chat"
    is_made_once = True
    _encoder: EventEncoder | None = None  # of a stream that has begun
    _keeping: "asyncio.Future[Replies] | None" = None

    async def handle(self, body: bytes) -> None:
        asked = wire.parse(body)
        turn = _Turn(
            owner=self.principal,
            asked=asked,
            functions=tools.functions_of(asked.tools),
            conversation=await earlier.conversation_of(asked, self.principal),
        )
        request, call = turn.request(), call_of(self, asked.parley)
        request, call = await extensions.applied(asked.parley, request, call)
        async with aclosing(service.stream(request, call)) as answering:
            if asked.stream:
                await self._stream(answering, turn)
            else:
                await send_whole(self, answering, partial(self._whole, turn))

    def error_body(self, error: AppError) -> bytes:
        return super().error_body(_renamed(error))

    def error_event(self, error: AppError) -> bytes:
        if self._encoder is None:  # it was silent so long that the stream began without it
            return events.error_event(_renamed(error))
        return self._encoder.fail(_renamed(error))

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        """Send the end when the response is kept: the next request may refer to it."""
        if self._keeping is not None and not more_body:
            await self._keeping
        await super().send_body(body, more_body=more_body)

    async def _stream(self, answering: AsyncGenerator[Event, None], turn: "_Turn") -> None:
        started = await begun(self, answering)
        encoder = EventEncoder(
            started,
            turn.begun(started),
            partial(self._keep, turn),
            wants_logprobs=turn.asked.wants_logprobs,
        )
        self._encoder = encoder
        await self.send_body(encoder.begin(), more_body=True)
        await relay(self, answering, encoder)

    def _whole(
        self, turn: "_Turn", started: Started, deltas: Sequence[Delta], finished: Finished
    ) -> bytes:
        response = turn.begun(started)
        output = Output(started.usage_id.hex)
        for delta in deltas:
            output.add(delta, logprobs.read(delta.raw) if turn.asked.wants_logprobs else [])
        events.close(response, output, started, finished)
        self._keep(turn, response)
        return answer.body(response)

    def _keep(self, turn: "_Turn", response: Response) -> None:
        """Begin to keep the response, where its caller does not forbid it and it is not too large.

        What it says of itself is true then.
        """
        if not response.store:
            return
        told, conversation = answer.body(response), turn.as_kept()
        response.store = kept.fits(told) and kept.fits(conversation)
        if response.store:
            self._keeping = kept.keep(
                self.principal, response.id, answer=told, conversation=conversation
            )


class ResponseDetail(ApiConsumer):
    """`GET /v1/responses/{id}`."""

    method = "GET"
    scope_needed = "chat"

    async def handle(self, body: bytes) -> None:
        paging.asked(_nothing_more, self.scope["query_string"])
        [found] = await kept.find(self.principal, "answer", [_id_of(self)])
        if found is None:
            raise _not_found(self)
        await self.send_json(found)


class ResponseDelete(ApiConsumer):
    """`DELETE /v1/responses/{id}`."""

    method = "DELETE"
    scope_needed = "chat"

    async def handle(self, body: bytes) -> None:
        id = _id_of(self)
        if not await kept.forget(self.principal, id):
            raise _not_found(self)
        await self.send_json(msgspec.json.encode({"id": id, "object": "response", "deleted": True}))


@dataclass(frozen=True, slots=True)
class _Turn:
    """What was asked, and all that a model is told."""

    owner: Principal
    asked: CreateResponse
    functions: tuple[FunctionTool, ...]
    conversation: Sequence[Sent]

    def request(self) -> ChatRequest:
        return conversion.request_of(self.asked, self.functions, self.conversation)

    def begun(self, started: Started) -> Response:
        is_kept = self.asked.store is not False and kept.is_on(self.owner)
        return answer.begun(self.asked, self.functions, started, is_kept=is_kept)

    def as_kept(self) -> bytes:
        return msgspec.json.encode([sent.item for sent in self.conversation])


def _id_of(consumer: ApiConsumer) -> str:
    """Return the response that the address names, or raise `NotFound`."""
    id = str(consumer.scope["url_route"]["kwargs"]["response_id"])
    if not kept.RESPONSE_ID.fullmatch(id):
        raise _not_found(consumer)
    return id


def _not_found(consumer: ApiConsumer) -> NotFound:
    id = consumer.scope["url_route"]["kwargs"]["response_id"]
    return NotFound(
        f"There is no response `{id}`. {earlier.lifetime(consumer.principal)}", param="response_id"
    )


def _renamed(error: AppError) -> AppError:
    """Return the error with the field's name as it is here."""
    if error.param not in NAMES:
        return error
    renamed = own(error)
    renamed.param = NAMES[error.param]
    return renamed
