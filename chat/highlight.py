"""Code in colours: a few classes for what the eye looks for, and plain text for the rest.

Pygments' own formatter wraps every bracket in a span: several times the text on the wire.
"""

from functools import lru_cache
from html import escape
from itertools import groupby

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import (
    Comment,
    Generic,
    Keyword,
    Literal,
    Name,
    Number,
    String,
    _TokenType,
    is_token_subtype,
)
from pygments.util import ClassNotFound

LONGEST = 50_000  # characters; longer code stays uncoloured

# The first that fits; `static/css/highlight.css` has a colour for each.
CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (Keyword, "k"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "d"),
    (Name.Tag, "k"),
    (Name.Attribute, "d"),
    (Name.Builtin, "b"),
    (Number, "n"),
    (String, "s"),
    (Literal, "n"),
    (Generic.Deleted, "gd"),
    (Generic.Inserted, "gi"),
    (Generic.Heading, "f"),
)
NAMES = {name for _, name in CLASSES}


def highlight(code: str, language: str) -> str:
    """Return the code as HTML; an unknown language is escaped text."""
    lexer = _lexer(language)
    if lexer is None or len(code) > LONGEST:
        return escape(code, quote=False)
    parts = ((_class(kind), text) for kind, text in lexer.get_tokens(code))
    pieces = []
    for name, run in groupby(parts, key=lambda part: part[0]):
        text = escape("".join(text for _, text in run), quote=False)
        pieces.append(f'<i class="{name}">{text}</i>' if name else text)
    return "".join(pieces)


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def _class(kind: _TokenType) -> str:
    return next((name for parent, name in CLASSES if is_token_subtype(kind, parent)), "")
