"""What the requests of a batch may ask for: each is read and answered as its address would."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from core.errors import InvalidRequest
from gateway import choices, encoding, extensions, wire
from gateway.choices import Gathered
from gateway.embeddings import wire as embeddings_wire
from gateway.models import Endpoint
from gateway.wire import Completion
from llm import embeddings, service
from llm.parallel import whole
from llm.types import Call, ChatRequest


class Kind(NamedTuple):
    """How the requests of an address are read and answered."""

    check: Callable[[bytes], object]  # raises what the API would refuse
    answer: Callable[[bytes, Call], Awaitable[bytes]]  # the body of the response


def check(url: str, body: bytes) -> None:
    """Raise what the API would refuse of a body."""
    KINDS[url].check(body)


async def answer(url: str, body: bytes, call: Call) -> bytes:
    """Return the body of the answer, or raise why there is none."""
    return await KINDS[url].answer(body, call)


def _completion(body: bytes) -> Completion:
    completion = wire.parse(body, most_answers=wire.MOST_ANSWERS)
    if completion.stream:
        raise InvalidRequest("A batch gives whole answers: leave `stream` out.", param="stream")
    return completion


async def _answer_chat(body: bytes, call: Call) -> bytes:
    completion = _completion(body)
    request, call = await extensions.applied(completion.parley, completion.as_request(), call)
    if completion.answers > 1:
        return await _several(request, call, completion.answers)
    made = await whole(service.stream(request, call))
    return encoding.whole(made.started, made.deltas, made.finished)


async def _several(request: ChatRequest, call: Call, number: int) -> bytes:
    gathered = Gathered(number)
    answers = choices.together(choices.streams(request, call, number))
    async with aclosing(answers) as events:
        async for index, event in events:
            gathered.add(index, event)
    if gathered.started is None:
        raise TypeError("The answers have ended before they began.")
    return gathered.body(gathered.started)


async def _answer_embeddings(body: bytes, call: Call) -> bytes:
    asked = embeddings_wire.parse(body)
    made = await embeddings.ask(
        asked.texts(), model=asked.model, call=call, dimensions=asked.dimensions
    )
    return embeddings_wire.answer(made, asked.encoding_format)


def _check_embeddings(body: bytes) -> None:
    embeddings_wire.parse(body).texts()


KINDS = {
    str(Endpoint.CHAT): Kind(_completion, _answer_chat),
    str(Endpoint.EMBEDDINGS): Kind(_check_embeddings, _answer_embeddings),
}
