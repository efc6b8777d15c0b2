"""An answer as it is kept: put together from its events, and told again in the form asked for."""

import time
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from llm import thoughts
from llm.tools import calls as tool_calls
from llm.types import Delta, Event, Finished, KeptAnswer, Started, Thought

LARGEST = 1_000_000  # bytes of an answer that is kept

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAnswer).decode


def answer_of(events: Sequence[Event], *, is_streamed: bool) -> KeptAnswer | None:
    """Return what the events of an answer add up to; `None` unless they are a whole one."""
    if not events:
        return None
    started, *between, finished = events
    if not (isinstance(started, Started) and isinstance(finished, Finished)):
        return None
    delta = joined([event for event in between if isinstance(event, Delta)])
    return KeptAnswer(
        provider=started.provider,
        model=started.model,
        delta=replace(delta, tool_calls=tool_calls.merged(delta.tool_calls)),
        is_streamed=is_streamed,
        finish_reason=finished.finish_reason,
        usage=finished.usage,
        is_estimated=finished.is_estimated,
        cost_usd=finished.cost_usd,
        stop_sequence=finished.stop_sequence,
        kept_at=time.time(),
    )


def delta_for(kept: KeptAnswer, *, is_streamed: bool) -> Delta:
    """Return the answer in one piece. The vendor's own bytes are of use only in the form they had.

    In the other form the edge writes them anew.
    """
    if kept.is_streamed == is_streamed or kept.delta.raw is None:
        return kept.delta
    return replace(kept.delta, raw=None)


def joined(deltas: Sequence[Delta]) -> Delta:
    """Return the pieces as one."""
    if len(deltas) == 1:
        return deltas[0]
    raw = [delta.raw for delta in deltas]
    return Delta(
        text="".join([delta.text for delta in deltas]),
        tool_calls=tuple([call for delta in deltas for call in delta.tool_calls]),
        reasoning="".join([delta.reasoning for delta in deltas]),
        raw=None if None in raw else b"".join(filter(None, raw)),
        thoughts=_thoughts(deltas),
    )


def _thoughts(deltas: Sequence[Delta]) -> tuple[Thought, ...]:
    """Return all thinking in whole thoughts, where any of it has to be told apart."""
    if not any(delta.thoughts for delta in deltas):
        return ()
    return thoughts.joined(
        thought for delta in deltas for thought in delta.thoughts or (Thought(delta.reasoning),)
    )


def gathered(news: Sequence[Event]) -> list[Event]:
    """Return the events with deltas that follow each other put together."""
    whole: list[Event] = []
    deltas: list[Delta] = []
    for event in (*news, None):
        if isinstance(event, Delta):
            deltas.append(event)
            continue
        if deltas:
            whole.append(joined(deltas))
            deltas = []
        if event is not None:
            whole.append(event)
    return whole


def encode(kept: KeptAnswer) -> bytes | None:
    """Return the answer's bytes; `None` for one that is too large, or that says nothing."""
    has_content = kept.delta.text or kept.delta.tool_calls
    encoded = _encode(kept) if has_content else b""
    return encoded if has_content and len(encoded) <= LARGEST else None


def decode(stored: bytes) -> KeptAnswer | None:
    """Return the answer; `None` where another version of Parley wrote it."""
    try:
        return _decode(stored)
    except msgspec.DecodeError:
        return None
