"""The words of the playground's socket (`docs/playground.md`).

From the server an event is a JSON array that begins with its name, as in the chat.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from billing.money import as_text
from core.errors import InvalidRequest
from prompts.playground.questions import MOST_COLUMNS

VERSION = "parley.playground.v1"  # the WebSocket subprotocol
LONGEST_FRAME = 1_000_000  # characters

Place = Annotated[int, Meta(ge=0, lt=MOST_COLUMNS)]
State = Literal["done", "stopped", "failed"]
Kind = Literal["text", "thought", "tool"]

# --- From the page --------------------------------------------------------------------------------


class Run(Struct, frozen=True, tag="run", forbid_unknown_fields=True):
    """Let every column answer; `form` is the page's form, encoded as a browser sends it."""

    form: str


class Stop(Struct, frozen=True, tag="stop", forbid_unknown_fields=True):
    """End an answer where it is; without a column, all of them."""

    column: Place | None = None


Command = Run | Stop

# --- From the server ------------------------------------------------------------------------------


class Running(Struct, frozen=True, array_like=True, tag="running"):
    """These columns have been asked."""

    columns: list[int]


class Started(Struct, frozen=True, array_like=True, tag="started"):
    """A model has begun to answer."""

    column: int
    provider: str
    model: str  # as the vendor names it


class Spoke(Struct, frozen=True, array_like=True, tag="spoke"):
    """The first of the answer has come, after so many milliseconds."""

    column: int
    ttft_ms: int


class Delta(Struct, frozen=True, array_like=True, tag="delta"):
    """The next piece: of the answer, of what the model thinks aloud, or of a call of a tool."""

    column: int
    kind: Kind
    text: str


class Ended(Struct, frozen=True, array_like=True, tag="ended"):
    """How a column has ended, and what it took; times are milliseconds."""

    column: int
    state: State
    message: str  # for people; "": there is nothing to say
    ttft_ms: int | None
    duration_ms: int
    input_tokens: int | None  # None: no model was asked
    output_tokens: int | None
    cost: str  # for people
    is_estimated: bool = False  # the tokens are our own count


class Total(Struct, frozen=True, array_like=True, tag="total"):
    """All columns have ended; this is what they took together."""

    input_tokens: int
    output_tokens: int
    cost: str


class Error(Struct, frozen=True, array_like=True, tag="error"):
    """A frame was refused; the connection stays."""

    code: str
    message: str


Event = Running | Started | Spoke | Delta | Ended | Total | Error

_commands = msgspec.json.Decoder(Command)
_encoder = msgspec.json.Encoder()


def decode_command(frame: str | bytes) -> Command:
    """Return what the page wants, or raise `InvalidRequest` saying what cannot be read."""
    if len(frame) > LONGEST_FRAME:
        raise InvalidRequest(f"A frame has at most {LONGEST_FRAME:,} characters.")
    try:
        command: Command = _commands.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest(f"The frame cannot be read: {error}") from error
    return command


def encode(event: Event) -> str:
    """Return the event as it goes over the wire."""
    return _encoder.encode(event).decode()


def cost_in_words(cost_usd: Decimal | None) -> str:
    """Return what something cost, for people."""
    return "unpriced" if cost_usd is None else as_text(cost_usd)
