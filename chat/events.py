"""The words of the socket and of the log; `docs/websocket.md` describes them for other clients.

From the server an event is a JSON array that begins with its name: with objects, the names of the
fields would be several times the text of a token.
"""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from chat.models import Message
from core.errors import InvalidRequest

VERSION = "parley.chat.v1"  # the WebSocket subprotocol; a change that breaks a client is a new one

Cursor = Annotated[int, Meta(ge=0, le=2**31 - 1)]

# --- From the client ------------------------------------------------------------------------------


class Subscribe(Struct, frozen=True, tag="subscribe"):
    """Show me what comes after `cursor` of this answer, and the turns after it."""

    message: UUID
    cursor: Cursor = 0


class Send(Struct, frozen=True, tag="send"):
    """Ask; the same `client_request_id` again asks nothing twice."""

    text: str
    client_request_id: UUID
    parent: UUID | None = None  # None: the end of the branch that is shown
    model: str | None = None  # None: as before


class Stop(Struct, frozen=True, tag="stop"):
    """End this answer where it is."""

    message: UUID


Command = Subscribe | Send | Stop

# --- From the server: what the log keeps ----------------------------------------------------------


class Delta(Struct, frozen=True, array_like=True, tag="delta"):
    """The next piece of the answer's text."""

    cursor: int
    text: str


class Block(Struct, frozen=True, array_like=True, tag="block"):
    """Finished blocks as safe HTML; of the text so far, only `rest` is still open.

    With `is_whole`, the HTML is of the answer from its beginning and replaces what was shown.
    """

    cursor: int
    html: str
    rest: str = ""
    is_whole: bool = False


class Usage(Struct, frozen=True, array_like=True, tag="usage"):
    """What the answer took. No cost: the model has no price."""

    cursor: int
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


class Status(Struct, frozen=True, array_like=True, tag="status"):
    """How the answer has ended; nothing follows."""

    cursor: int
    status: str
    code: str = ""
    message: str = ""


Logged = Delta | Block | Usage | Status

# --- From the server: what only a viewer gets -----------------------------------------------------


class Snapshot(Struct, frozen=True, array_like=True, tag="snapshot"):
    """All of the answer up to `cursor`; it replaces what was shown."""

    message: UUID
    cursor: int
    html: str
    rest: str
    status: str


class Turn(Struct, frozen=True, array_like=True, tag="turn"):
    """A question was asked, here or in another window; `answer` is being written."""

    question: UUID
    text: str
    answer: UUID
    client_request_id: UUID | None


class Error(Struct, frozen=True, array_like=True, tag="error"):
    """A command was refused; the connection stays."""

    code: str
    message: str
    client_request_id: UUID | None = None


Event = Logged | Snapshot | Turn | Error

_commands = msgspec.json.Decoder(Command)
_logged = msgspec.json.Decoder(Logged)
_encoder = msgspec.json.Encoder(decimal_format="string")


def decode_command(frame: str | bytes) -> Command:
    """Return what the client wants, or raise `InvalidRequest` saying what cannot be read."""
    try:
        command: Command = _commands.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The frame cannot be read: {error}") from error
    return command


def decode_logged(entry: bytes) -> Logged:
    """Return an event of the log."""
    event: Logged = _logged.decode(entry)
    return event


def encode(event: Event) -> bytes:
    """Return the event as it goes over the wire and into the log."""
    return _encoder.encode(event)


def usage_of(message: Message, cursor: int) -> Usage:
    """Return what an ended answer took."""
    return Usage(
        cursor,
        message.model_served,
        message.input_tokens or 0,
        message.output_tokens or 0,
        message.cost_usd,
    )


def end_of(message: Message) -> list[Logged]:
    """Return the last events of an answer that has ended, as its row tells them."""
    end: list[Logged] = []
    if message.input_tokens is not None:
        end.append(usage_of(message, message.cursor - 1))
    end.append(Status(message.cursor, message.status, message.error_code, message.error_message))
    return end


def joined(events: list[Logged]) -> list[Logged]:
    """Return the events with each run of deltas as one, which is what a late viewer needs."""
    result: list[Logged] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Delta) and isinstance(last, Delta):
            result[-1] = Delta(event.cursor, last.text + event.text)
        else:
            result.append(event)
    return result
