"""Which blocks of an answer are finished while it is still being written."""

import re
from itertools import pairwise

from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from chat import maths
from chat.markdown import parser

DEFINITION = re.compile(r"^[ >*+-]*\[[^\]\n]+\]:", re.MULTILINE)
FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")

_parser = parser()


class Blocks:
    """Takes the text as it comes and gives back the source of blocks that nothing can change.

    All but the last block of what is there are finished: Markdown's blocks are made of lines, and
    no later line reaches behind the block it stands in. Only a link's definition does, and
    `has_definition` tells of one.
    """

    def __init__(self) -> None:
        self.open = ""  # of the blocks that are not finished
        self.has_definition = False

    def feed(self, text: str) -> str:
        """Add text; return the source of the blocks that it finishes, often empty."""
        self.open += text
        if "\n" not in text or _is_open_fence(self.open):
            return ""
        finished = _finished(self.open[: self.open.rindex("\n") + 1])
        return self._take(finished)

    def finish(self) -> str:
        """Return the source of what was open to the end."""
        return self._take(len(self.open))

    def _take(self, length: int) -> str:
        source, self.open = self.open[:length], self.open[length:]
        self.has_definition = self.has_definition or DEFINITION.search(source) is not None
        return source


def _is_open_fence(text: str) -> bool:
    """Return whether all of the text is code that has not ended, without parsing it again."""
    opening = FENCE.match(text)
    if opening is None:
        return False
    mark = opening["mark"]
    closing = re.compile(rf"^ {{0,3}}{re.escape(mark)}{re.escape(mark[0])}*[ \t]*$", re.MULTILINE)
    return closing.search(text, opening.end()) is None


def _finished(lines: str) -> int:
    """Return how much of the text, which ends with a whole line, belongs to finished blocks."""
    starts = _starts(lines)
    offsets = [0, *(end.end() for end in re.finditer("\n", lines))]
    for start, following in pairwise(starts):
        source = lines[offsets[start] : offsets[following]]
        if _waits_for_its_end(source):
            return offsets[start]
    return offsets[starts[-1]] if starts else 0


def _waits_for_its_end(block: str) -> bool:
    """Return whether the block is text only until the end of its maths has come."""
    closing = maths.opens(block)
    return bool(closing) and not block.rstrip().endswith(closing)


def _starts(lines: str) -> list[int]:
    """Return the first line of each block."""
    tokens: list[Token] = []
    state = StateBlock(lines, _parser, {}, tokens)
    _parser.block.tokenize(state, 0, state.lineMax)
    return [token.map[0] for token in tokens if token.level == 0 and token.map]
