"""What a request refers to instead of sending it: earlier items, and an earlier response."""

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import msgspec
from django.conf import settings
from msgspec import Raw, Struct

from accounts.principal import Principal
from core.errors import AppError, InvalidRequest
from gateway.errors import BodyTooLarge
from gateway.responses import items, kept
from gateway.responses.items import Sent
from gateway.responses.wire import CreateResponse

ITEM_ID = re.compile(r"(?:msg|fc)_([0-9a-f]{32})[0-9a-f]{4}")
THOUGHT = "rs_"  # what the ids of reasoning items begin with
REFERENCE = "item_reference"
MOST_RESPONSES = 1000  # that one request refers to
AT_ONCE = 20  # responses that are looked up in one go


class ItemNotFound(AppError):
    """What is referred to is not kept, or not the caller's."""

    code = "item_not_found"
    http_status = HTTPStatus.NOT_FOUND


class PreviousResponseNotFound(AppError):
    """The response that a request goes on from is not kept, or not the caller's."""

    code = "previous_response_not_found"
    http_status = HTTPStatus.BAD_REQUEST


class _Answer(Struct, frozen=True):
    output: tuple[Raw, ...]


_answer = msgspec.json.Decoder(_Answer)
_items = msgspec.json.Decoder(tuple[Raw, ...])


async def conversation_of(asked: CreateResponse, owner: Principal) -> list[Sent]:
    """Return all that a model is to be told, or raise an error that names what is not kept."""
    sent = list(_sent(asked.input))
    found = await _referred(sent, owner)
    conversation = await _previous(asked.previous_response_id, owner)
    conversation += _resolved(sent, found, owner)
    if sum(len(memoryview(one.item)) for one in conversation) > settings.MAX_BODY_BYTES:
        raise BodyTooLarge(
            f"With what it refers to, the request is larger than {settings.MAX_BODY_BYTES} bytes."
        )
    return conversation


def _sent(given: str | Sequence[Raw] | None) -> Iterator[Sent]:
    if isinstance(given, str):
        yield Sent(Raw(msgspec.json.encode({"role": "user", "content": given})), "input")
        return
    for index, item in enumerate(given or ()):
        yield Sent(item, f"input[{index}]")


async def _previous(response_id: str | None, owner: Principal) -> list[Sent]:
    """Return what was told and answered up to the response."""
    if response_id is None:
        return []
    told = answered = None
    if kept.RESPONSE_ID.fullmatch(response_id):
        [told] = await kept.find(owner, "conversation", [response_id])
        [answered] = await kept.find(owner, "answer", [response_id])
    if told is None or answered is None:
        raise PreviousResponseNotFound(
            f"There is no response `{response_id}`. {lifetime(owner)} Send the whole conversation "
            "in `input`.",
            param="previous_response_id",
        )
    both = (*_items.decode(told), *_answer.decode(answered).output)
    return [Sent(item, "previous_response_id") for item in both]


async def _referred(sent: Sequence[Sent], owner: Principal) -> dict[str, Raw]:
    """Return by its id each item that is kept of the responses that are referred to."""
    wanted = sorted({id for one in sent if (id := _response_of(one)) is not None})
    if len(wanted) > MOST_RESPONSES:
        raise InvalidRequest(
            f"`input` refers to items of more than {MOST_RESPONSES:,} responses: send the items "
            "themselves.",
            param="input",
        )
    found: dict[str, Raw] = {}
    for first in range(0, len(wanted), AT_ONCE):
        for answer in await kept.find(owner, "answer", wanted[first : first + AT_ONCE]):
            for item in _answer.decode(answer).output if answer else ():
                found[items.head_of(Sent(item, "")).id or ""] = item
    return found


def _response_of(sent: Sent) -> str | None:
    head = items.head_of(sent)
    place = ITEM_ID.fullmatch(head.id or "") if head.type == REFERENCE else None
    return f"resp_{place[1]}" if place else None


def _resolved(sent: Sequence[Sent], found: dict[str, Raw], owner: Principal) -> Iterator[Sent]:
    for one in sent:
        head = items.head_of(one)
        id = head.id or ""
        if head.type != REFERENCE:
            yield one
        elif id in found:
            yield Sent(found[id], one.at)
        elif not id.startswith(THOUGHT):  # which would be passed over itself
            raise ItemNotFound(
                f"`{one.at}` refers to `{id}`, which is not kept. {lifetime(owner)} Send the item "
                "itself; the Vercel AI SDK does so with `providerOptions: {openai: {store: "
                "false}}`.",
                param=one.at,
            )


def lifetime(owner: Principal) -> str:
    """Return for how long a response is there, for whoever misses one."""
    if not kept.is_on(owner):
        return "Parley keeps no responses of this key now."
    hours = f"{settings.RESPONSE_HOURS:g}"
    return f"Parley keeps a response for {hours} hours after its last use, for its caller alone."
