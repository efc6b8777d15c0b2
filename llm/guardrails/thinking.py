"""Thoughts on their way to the caller: looked through, and only unchanged ones keep a signature."""

from collections.abc import Iterator

from llm.guardrails.window import Window
from llm.types import Delta, Thought


class Thinking:
    """The thoughts of one answer, seen through a window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._came: list[str] = []  # of the thought that is under way
        self._told: list[str] = []

    def feed(self, delta: Delta) -> tuple[Thought, ...]:
        """Return what can be told now; a signature lets out all that it signs."""
        pieces = delta.thoughts or (Thought(delta.reasoning),)
        return tuple(told for piece in pieces for told in self._looked_through(piece))

    def finish(self) -> str:
        """Return what is left; nothing comes after it."""
        return self._window.finish()

    def _looked_through(self, piece: Thought) -> Iterator[Thought]:
        is_end = bool(piece.signature or piece.hidden)
        told = self._window.feed(piece.text) + (self._window.finish() if is_end else "")
        self._came.append(piece.text)
        self._told.append(told)
        signature = ""
        if is_end:
            signature = piece.signature if "".join(self._came) == "".join(self._told) else ""
            self._came, self._told = [], []
        if told or signature:
            yield Thought(told, signature)
        if piece.hidden:
            yield Thought(hidden=piece.hidden)
