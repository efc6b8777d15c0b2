"""A streamed answer as Anthropic has it: blocks that follow one another, each begun and ended."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.messages import answer
from gateway.messages.answer import RedactedThinking, Text, Thinking, ToolUse
from llm.types import Delta, Finished, Started, Thought, ToolCallDelta

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

_encode = msgspec.json.Encoder().encode


class EventEncoder:
    """The server-sent events of one answer."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self._open: str | None = None  # the type of the block that is being written
        self._number = -1  # of the block
        self._tools = ToolOrder()
        self._late: list[Delta] = []  # said while tools are being called

    def start(self) -> bytes:
        """Return the event that begins the message."""
        return _event("message_start", message=answer.begun(self._started))

    def delta(self, delta: Delta) -> bytes:
        """Return the events for the next piece of the answer.

        A call of a tool is not interrupted: what is said after it has begun comes at the end.
        """
        events = b""
        if self._tools.has_begun:
            self._late.append(delta)
        else:
            events = self._said(delta)
        return events + self._called(self._tools.fed(delta.tool_calls))

    def finish(self, finished: Finished) -> bytes:
        """Return the last events: why it ended, what it took, `message_stop`."""
        rest = self._called(self._tools.rest()) + b"".join(map(self._said, self._late))
        reason, sequence = answer.ending(finished)
        end = {"stop_reason": reason, "stop_sequence": sequence}
        usage = answer.usage_of(finished.usage)
        ending = _event("message_delta", delta=end, usage=usage) + _event("message_stop")
        return rest + self._close() + ending

    def _said(self, delta: Delta) -> bytes:
        events = b"".join([self._thought(piece) for piece in answer.pieces((delta,))])
        if delta.text:
            events += self._in("text", Text("")) + self._change("text_delta", text=delta.text)
        return events

    def _called(self, pieces: Iterable[ToolCallDelta]) -> bytes:
        return b"".join([self._tool_piece(piece) for piece in pieces])

    def _thought(self, piece: Thought) -> bytes:
        if piece.hidden:
            return self._begin("redacted_thinking", RedactedThinking(piece.hidden)) + self._close()
        events = self._in("thinking", Thinking("", ""))
        if piece.text:
            events += self._change("thinking_delta", thinking=piece.text)
        if piece.signature:  # which ends the thought
            events += self._change("signature_delta", signature=piece.signature) + self._close()
        return events

    def _tool_piece(self, piece: ToolCallDelta) -> bytes:
        events = b""
        if piece.name is not None:
            id = answer.tool_use_id(piece.id, piece.index, self._started)
            events = self._begin("tool_use", ToolUse(id, piece.name, {}))
        if piece.arguments:
            events += self._change("input_json_delta", partial_json=piece.arguments)
        return events

    def _in(self, kind: str, block: Any) -> bytes:
        return b"" if self._open == kind else self._begin(kind, block)

    def _begin(self, kind: str, block: Any) -> bytes:
        events = self._close()
        self._open = kind
        self._number += 1
        return events + _event("content_block_start", index=self._number, content_block=block)

    def _change(self, kind: str, **change: str) -> bytes:
        return _event("content_block_delta", index=self._number, delta={"type": kind, **change})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._number)


class ToolOrder:
    """Puts calls one after the other that a model writes side by side.

    The first piece of a call has its name, and no later one has.
    """

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}  # in the order of their beginnings
        self._current: _Call | None = None

    @property
    def has_begun(self) -> bool:
        return bool(self._calls)

    def fed(self, pieces: Iterable[ToolCallDelta]) -> Iterable[ToolCallDelta]:
        """Yield what can be told now."""
        for piece in pieces:
            call = self._calls.setdefault(piece.index, _Call(piece.index))
            call.add(piece)
            if self._current is None or (not call.is_begun and self._current.is_complete):
                self._current = call
            if told := self._current.take():
                yield told

    def rest(self) -> Iterable[ToolCallDelta]:
        """Yield what was held back, one call after the other."""
        for call in self._calls.values():
            if not call.is_begun and (told := call.take()):
                yield told


class _Call:
    """One call: what has come of it, and how much of that has been told."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._id: str | None = None
        self._name: str | None = None
        self._arguments = ""
        self._told = 0
        self.is_begun = False

    def add(self, piece: ToolCallDelta) -> None:
        self._id = self._id or piece.id
        self._name = self._name or piece.name
        self._arguments += piece.arguments

    @property
    def is_complete(self) -> bool:
        """Return whether the arguments are whole, as far as they have come."""
        try:
            msgspec.json.decode(self._arguments, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            return False
        return True

    def take(self) -> ToolCallDelta | None:
        """Return what has not been told yet; `None`: nothing, or nobody knows its name."""
        if self._name is None:
            return None
        arguments = self._arguments[self._told :]
        self._told = len(self._arguments)
        if self.is_begun:
            return ToolCallDelta(self._index, arguments=arguments) if arguments else None
        self.is_begun = True
        return ToolCallDelta(self._index, self._id, self._name, arguments)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
