"""`POST /v1/embeddings`: read OpenAI's wire, make one call, write OpenAI's wire."""

from asgiref.sync import sync_to_async

from gateway.answer_headers import of_whole
from gateway.calls import call_of
from gateway.embeddings import wire
from gateway.http import ApiConsumer
from llm import embeddings

MANY = 20_000  # numbers; to write more takes longer than a switch to a thread
LONG = 100_000  # bytes; to read more does


class EmbeddingsCreate(ApiConsumer):
    """`POST /v1/embeddings`."""

    method = "POST"
    scope_needed = "embeddings"
    is_made_once = True

    async def handle(self, body: bytes) -> None:
        asked = wire.parse(body)
        read = sync_to_async(asked.texts, thread_sensitive=False)
        made = await embeddings.ask(
            await read() if len(body) > LONG else asked.texts(),
            model=asked.model,
            call=call_of(self),
            dimensions=asked.dimensions,
        )
        if sum(map(len, made.vectors)) > MANY:
            write = sync_to_async(wire.answer, thread_sensitive=False)
            sent = await write(made, asked.encoding_format)
        else:
            sent = wire.answer(made, asked.encoding_format)
        told = (*of_whole(made.started, made.finished), *self.limit_headers(made.started))
        await self.send_json(sent, *told)
