r"""LaTeX in Markdown, as MathML: `$$…$$`, `\[…\]`, `\(…\)`, and `$…$` where it cannot be money."""

import re
from collections.abc import Sequence
from html import escape

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

LONGEST = 4_000  # characters; longer sources are shown as they are

DISPLAY = re.compile(r"\$\$(?P<a>(?:\\.|[^\\$])+?)\$\$|\\\[(?P<b>.+?)\\\]", re.DOTALL)
INLINE = re.compile(
    r"\\\((?P<a>.+?)\\\)|\$(?P<b>(?![\s$])(?:\\.|[^\\$\n])+?(?<!\s))\$(?![\w$])", re.DOTALL
)
FENCES = {"$$": "$$", "\\[": "\\]"}
CLOSINGS = {"\\(": "\\)", "\\[": "\\]"}

SIGNS = re.compile(r"[\\^_={}]")
WORD = re.compile(r"[^\W\d_]{2,}")
NAMED = re.compile(r"\\[a-zA-Z]+(?:\{[^{}]*\})?")  # \alpha, \text{if}
MONEY = re.compile(r"\d[\d.,]*\s")


def maths(md: MarkdownIt) -> None:
    """Teach the parser LaTeX."""
    md.block.ruler.before("fence", "maths", _block, {"alt": ["paragraph", "blockquote", "list"]})
    md.inline.ruler.before("escape", "maths", _inline)
    md.add_render_rule("maths", _render)


def opens(line: str) -> str:
    """Return what closes the block of maths that the line begins, or an empty string."""
    return FENCES.get(line.lstrip()[:2], "")


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    r"""Take lines from `$$` to `$$` or from `\[` to `\]`; blank lines may not come between."""
    if state.is_code_block(start_line):
        return False
    lines: list[str] = []
    length = 0
    closing = opens(_line(state, start_line))
    for number in range(start_line, end_line if closing else start_line):
        line = _line(state, number).strip()
        lines.append(line)
        length += len(line) + 1
        if length > len("$$$$") and line.endswith(closing):
            return _push_block(state, start_line, number + 1, "\n".join(lines)[2:-2], silent)
        if not line or length > LONGEST or state.sCount[number] < state.blkIndent:
            return False
    return False


def _push_block(
    state: StateBlock, start_line: int, next_line: int, source: str, silent: bool
) -> bool:
    if silent:
        return True
    token = state.push("maths", "math", 0)
    token.block = True
    token.content = source.strip()
    token.map = [start_line, next_line]
    state.line = next_line
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\" or not _may_end(state):
        return False
    found = DISPLAY.match(state.src, state.pos) or INLINE.match(state.src, state.pos)
    if found is None or not _is_maths(state, found):
        return False
    if not silent:
        token = state.push("maths", "math", 0)
        token.content = (found["a"] or found["b"]).strip()
        token.markup = found[0][:2]
    state.pos = found.end()
    return True


def _may_end(state: StateInline) -> bool:
    """Return whether what a backslash opens is closed soon: to look far each time takes long."""
    closing = CLOSINGS.get(state.src[state.pos : state.pos + 2])
    if closing is None:
        return True
    return state.src.find(closing, state.pos + 3, state.pos + LONGEST) >= 0


def _is_maths(state: StateInline, found: re.Match[str]) -> bool:
    """Return whether a single `$` is unmistakable: "costs $5 and 6$" and "$HOME" are text."""
    if found[0].startswith(("$$", "\\")):
        return True
    before = state.src[state.pos - 1] if state.pos else " "
    if before.isalnum() or before == "$":
        return False
    without_names = NAMED.sub("", found["b"])
    if MONEY.match(found["b"]) and WORD.search(without_names):
        return False
    return bool(SIGNS.search(found["b"])) or not WORD.search(without_names)


def _render(
    renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    token = tokens[index]
    is_display = token.block or token.markup in FENCES
    return to_mathml(token.content, is_display=is_display)


def to_mathml(source: str, *, is_display: bool) -> str:
    """Return MathML, or the source as code where it is no LaTeX we understand."""
    if len(source) <= LONGEST:
        try:
            return convert(source, display="block" if is_display else "inline")
        except Exception:  # noqa: S110 - a foreign parser fails in many ways on what models write
            pass
    return f"<code>{escape(source)}</code>"
