"""Whole tool calls, from the pieces that a model streams."""

from collections.abc import Iterable

from llm.types import FunctionCall, ToolCall, ToolCallDelta


def merged(deltas: Iterable[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
    """Return one piece for each call: the first has its id and name, all have its arguments."""
    pieces: dict[int, list[ToolCallDelta]] = {}
    for delta in deltas:
        pieces.setdefault(delta.index, []).append(delta)
    return tuple(
        ToolCallDelta(
            index=index,
            id=next((piece.id for piece in group if piece.id), None),
            name=next((piece.name for piece in group if piece.name), None),
            arguments="".join(piece.arguments for piece in group),
        )
        for index, group in sorted(pieces.items())
    )


def joined(deltas: Iterable[ToolCallDelta]) -> tuple[ToolCall, ...]:
    """Return the calls as they are told to a model again."""
    return tuple(
        ToolCall(id=call.id or "", function=FunctionCall(call.name or "", call.arguments))
        for call in merged(deltas)
    )
