"""Whole thoughts, from the pieces that a model streams."""

from collections.abc import Iterable

from llm.types import Thought


def joined(pieces: Iterable[Thought]) -> tuple[Thought, ...]:
    """Return the thoughts, each with its signature; the last one may have none yet."""
    whole: list[Thought] = []
    text: list[str] = []
    for piece in pieces:
        if piece.hidden and any(text):
            whole.append(Thought("".join(text)))
            text = []
        text.append(piece.text)
        if piece.signature or piece.hidden:
            whole.append(Thought("".join(text), piece.signature, piece.hidden))
            text = []
    return (*whole, Thought("".join(text))) if any(text) else tuple(whole)
