"""The API for programs: read OpenAI's wire, make one call, write OpenAI's wire."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from gateway import choices, encoding, extensions, offers, wire
from gateway.answer_headers import of_stream, of_whole
from gateway.calls import begun, call_of, relay, send_whole
from gateway.choices import ChoicesEncoder, Gathered, Numbered
from gateway.encoding import ChunkEncoder
from gateway.errors import UnknownAddress
from gateway.http import ApiConsumer
from llm import service
from llm.types import Call, ChatRequest, Event, Started


class ChatCompletions(ApiConsumer):
    """`POST /v1/chat/completions`."""

    method = "POST"
    scope_needed = "chat"
    is_made_once = True

    async def handle(self, body: bytes) -> None:
        completion = wire.parse(body, most_answers=wire.MOST_ANSWERS)
        said, call = completion.parley, call_of(self, completion.parley)
        request, call = await extensions.applied(said, completion.as_request(), call)
        if completion.answers > 1:
            await self._answer_several(completion, request, call)
            return
        async with aclosing(service.stream(request, call)) as events:
            if completion.stream:
                await self._stream(events, include_usage=completion.include_usage)
            else:
                await send_whole(self, events, encoding.whole)

    async def _stream(self, events: AsyncGenerator[Event, None], *, include_usage: bool) -> None:
        started = await begun(self, events)
        await relay(self, events, ChunkEncoder(started, include_usage=include_usage))

    async def _answer_several(
        self, completion: wire.Completion, request: ChatRequest, call: Call
    ) -> None:
        answers = choices.streams(request, call, completion.answers)
        async with aclosing(choices.together(answers)) as events:
            tell = self._stream_several if completion.stream else self._several
            await tell(events, completion)

    async def _stream_several(self, events: Numbered, completion: wire.Completion) -> None:
        """Do as `_stream` does, with the answers side by side."""
        self.keep_alive()
        encoder: ChoicesEncoder | None = None
        async for number, event in events:
            if encoder is None and isinstance(event, Started):
                await self.begin_stream([*of_stream(event), *self.limit_headers(event)])
                encoder = ChoicesEncoder(
                    event, completion.answers, include_usage=completion.include_usage
                )
            if encoder is not None and (told := encoder.event(number, event)):
                await self.send_body(told, more_body=not encoder.is_over)

    async def _several(self, events: Numbered, completion: wire.Completion) -> None:
        gathered = Gathered(completion.answers)
        async for number, event in events:
            gathered.add(number, event)
        if started := gathered.started:
            body = gathered.body(started)
            await self.send_json(
                body, *of_whole(started, gathered.total), *self.limit_headers(started)
            )


class ModelList(ApiConsumer):
    """`GET /v1/models`."""

    method = "GET"
    scope_needed = "models"

    async def handle(self, body: bytes) -> None:
        models = [encoding.model(offer) for offer in await service.models(self.principal)]
        await self.send_json(msgspec.json.encode({"object": "list", "data": models}))


class ModelDetail(ApiConsumer):
    """`GET /v1/models/{id}`."""

    method = "GET"
    scope_needed = "models"

    async def handle(self, body: bytes) -> None:
        offer = await offers.asked(self)
        await self.send_json(msgspec.json.encode(encoding.model(offer)))


class Nothing(ApiConsumer):
    """Whatever else is asked for below `/v1/`."""

    async def handle(self, body: bytes) -> None:
        raise UnknownAddress(f"There is nothing at {self.scope['path']}.")
