"""Which blocks of an answer are finished while it is still being written."""

import re

from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from chat import maths
from chat.markdown import parser

DEFINITION = re.compile(r"^[ >*+-]*\[[^\]\n]+\]:", re.MULTILINE)
FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")

BLANK_LINE = re.compile(r"\n[ \t]*\n")
ALWAYS_CLOSED = {"heading_open", "hr", "maths"}
OPEN_TO_BLANK_LINES = {"bullet_list_open", "ordered_list_open", "code_block"}

EAGER = 4_000  # characters; a longer block is read again only when a quarter has been added

_parser = parser()


class Blocks:
    """Takes the text as it comes and gives back the source of blocks that nothing can change.

    Markdown's blocks are made of lines, and no later line reaches behind the block it stands in.
    Only a link's definition does, and `has_definition` tells of one.
    """

    def __init__(self) -> None:
        self.open = ""  # of the blocks that are not finished
        self.has_definition = False
        self._read_again_at = 0  # characters

    def feed(self, text: str) -> str:
        """Add text; return the source of the blocks that it finishes, often empty."""
        self.open += text
        is_early = len(self.open) < self._read_again_at
        if is_early or "\n" not in text or _is_open_fence(self.open):
            return ""
        source = self._take(_finished(self.open[: self.open.rindex("\n") + 1]))
        is_long = not source and len(self.open) > EAGER
        self._read_again_at = len(self.open) * 5 // 4 if is_long else 0
        return source

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
    offsets = [0, *(end.end() for end in re.finditer("\n", lines))]
    blocks = _blocks(lines)
    finished = 0
    for position, block in enumerate(blocks):
        start, end = block.map or (0, 0)
        is_last = position == len(blocks) - 1
        if _may_be_maths(block, lines[offsets[start] :]) or (
            is_last and not _is_closed(block, offsets, end)
        ):
            break
        finished = len(lines) if is_last else offsets[_start(blocks[position + 1])]
    return finished


def _is_closed(block: Token, offsets: list[int], end: int) -> bool:
    """Return whether the last block of the text can have no further line."""
    if block.type in ALWAYS_CLOSED:
        return True
    # What follows it can only be blank lines, and those end most blocks.
    return block.type not in OPEN_TO_BLANK_LINES and end < len(offsets) - 1


def _may_be_maths(block: Token, lines: str) -> bool:
    """Return whether the block is text only until the end of its maths, before a blank line."""
    is_begun = block.type != "maths" and bool(maths.opens(lines))
    return is_begun and BLANK_LINE.search(lines) is None


def _start(block: Token) -> int:
    return block.map[0] if block.map else 0


def _blocks(lines: str) -> list[Token]:
    """Return the token that begins each block."""
    tokens: list[Token] = []
    state = StateBlock(lines, _parser, {}, tokens)
    _parser.block.tokenize(state, 0, state.lineMax)
    return [token for token in tokens if token.level == 0 and token.map]
