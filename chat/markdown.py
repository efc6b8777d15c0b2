"""Markdown to safe HTML, on the server: no raw HTML, no foreign image, coloured code, maths."""

from collections.abc import Sequence

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from chat import highlight
from chat.maths import maths

MATHML = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mpadded"),
    *("mtable", "mtr", "mtd", "menclose", "mphantom", "mprescripts", "none", "merror"),
}
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "s", "code", "pre", "a", "i", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *MATHML,
}
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "pre": {"data-language"},
    "math": {"display"},
    "mo": {"stretchy", "fence", "form", "separator", "lspace", "rspace", "minsize", "maxsize"},
    "mi": {"mathvariant"},
    "mspace": {"width"},
    "mfrac": {"linethickness"},
    "mover": {"accent"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"columnalign", "rowspacing", "columnspacing"},
    "mtd": {"columnalign"},
    "menclose": {"notation"},
}
CLASSES = {
    "i": highlight.NAMES,
    "div": {"table-scroll"},
    "th": {"left", "center", "right"},
    "td": {"left", "center", "right"},
}

_cleaner = nh3.Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    allowed_classes=CLASSES,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
)


def render(text: str) -> str:
    """Return the text as HTML that may be put into a page."""
    return _cleaner.clean(_markdown.render(text))


def parser() -> MarkdownIt:
    """Return a parser of the Markdown that people and models write."""
    options = {"html": False, "linkify": False}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).use(maths)


def _fence(
    renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    token = tokens[index]
    language = token.info.split(maxsplit=1)[0] if token.info.strip() else ""
    code = highlight.highlight(token.content, language)
    label = f' data-language="{escapeHtml(language)}"' if language else ""
    return f"<pre{label}><code>{code}</code></pre>\n"


def _image(
    renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    """Link to it: loading it would tell a stranger who reads this, and when."""
    token = tokens[index]
    name = token.content or "image"
    return f'<a href="{escapeHtml(str(token.attrs["src"]))}">{escapeHtml(name)}</a>'


def _table_open(
    renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    return '<div class="table-scroll"><table>\n'


def _table_close(
    renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    return "</table></div>\n"


def _cell_open(
    renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    """Align with a class: the page's security policy forbids styles in attributes."""
    token = tokens[index]
    style = str(token.attrs.get("style", ""))
    if not style:
        return f"<{token.tag}>"
    return f'<{token.tag} class="{style.removeprefix("text-align:")}">'


def _renderer() -> MarkdownIt:
    md = parser()
    for name, rule in {
        "fence": _fence,
        "code_block": _fence,
        "image": _image,
        "table_open": _table_open,
        "table_close": _table_close,
        "th_open": _cell_open,
        "td_open": _cell_open,
    }.items():
        md.add_render_rule(name, rule)
    return md


_markdown = _renderer()
