"""The tags and filters of a prompt: Django's, without what reaches outside or has no bound."""

import json
import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.template import Library, TemplateSyntaxError, defaultfilters, defaulttags
from django.template.base import FilterExpression, Node, TextNode, Token, token_kwargs

from prompts.engine.filling import A_STEP

if TYPE_CHECKING:
    from prompts.engine.templates import PromptParser

LONGEST_SEPARATOR = 20  # characters
MOST_DECIMALS = 20
A_PIECE = 100  # characters
LONGEST_RESULT = 1_000_000  # characters; each of these filters may make a text many times longer
PROMPT_NAME = re.compile(r"""(["'])([A-Za-z0-9_-]{1,100})\1""")

library = Library()

for _name in ("comment", "if", "templatetag"):
    library.tag(_name, defaulttags.register.tags[_name])

for _name in (
    *("capfirst", "cut", "default", "default_if_none", "divisibleby", "first", "last", "length"),
    *("lower", "pluralize", "slice", "title", "truncatewords"),
    *("upper", "urlencode", "wordcount", "yesno"),
):
    library.filter(_name, defaultfilters.register.filters[_name])


@library.tag(name="for")
def loop(parser: "PromptParser", token: Token) -> Node:
    """Compile `{% for name in list %}`; its names are known inside of it only."""
    names, _, _ = token.contents.partition(" in ")
    bound = [name.strip() for name in names.removeprefix("for").split(",")]
    with parser.binding("forloop", *bound):
        return defaulttags.do_for(parser, token)


@library.tag(name="with")
def assign(parser: "PromptParser", token: Token) -> Node:
    """Compile `{% with name=value %}`; its names are known inside of it only."""
    words = token.split_contents()
    bound = [word.partition("=")[0] for word in words if "=" in word]
    bound += [after for before, after in pairwise(words) if before == "as"]
    with parser.binding(*bound):
        return defaulttags.do_with(parser, token)


class Include(Node):
    """Another prompt's words; it shares the values of this one, or has its own from `with`."""

    def __init__(
        self, name: str, given: dict[str, FilterExpression], *, is_alone: bool, line: int
    ) -> None:
        self.name = name
        self.given = given
        self.is_alone = is_alone  # sees what it is given and nothing else
        self.line = line

    def render(self, context: Any) -> str:
        given = {name: value.resolve(context) for name, value in self.given.items()}
        shared = given if self.is_alone else {**context.shared, **given}
        context.take(A_STEP + len(shared))
        text: str = context.filling.parts[self.name].text(shared, given.keys(), context.filling)
        return text


@library.tag
def include(parser: "PromptParser", token: Token) -> Node:
    """Compile `{% include "prompt" with name=value only %}`."""
    quoted, *words = token.split_contents()[1:] or [""]
    named = PROMPT_NAME.fullmatch(quoted)
    if named is None:
        raise TemplateSyntaxError("include takes the name of a prompt in quotes")
    is_alone = words[-1:] == ["only"]
    if is_alone:
        words.pop()
    given = token_kwargs(words[1:], parser) if words[:1] == ["with"] else {}
    if words and (not given or len(given) < len(words) - 1):
        raise TemplateSyntaxError("after its name, include takes `with name=value` and `only`")
    return Include(named[2], given, is_alone=is_alone, line=token.lineno or 1)


@library.tag
def verbatim(parser: "PromptParser", token: Token) -> Node:
    """Compile `{% verbatim %}`, whose content is text, whatever it looks like."""
    nodes = parser.parse(("endverbatim",))
    parser.delete_first_token()
    return TextNode("".join(node.s for node in nodes if isinstance(node, TextNode)))


@library.filter(name="json")
def as_json(value: Any) -> str:
    """Return the value as JSON, the way models read structures best."""
    return _bounded(json.dumps(value, ensure_ascii=False))


@library.filter
def join(values: list[Any], separator: str) -> str:
    """Return the values with a short separator between them."""
    if len(separator) > LONGEST_SEPARATOR:
        raise ValueError(f"join takes a separator of at most {LONGEST_SEPARATOR} characters")
    return _bounded(separator.join(map(str, values)))


@library.filter
def bullets(values: list[Any]) -> str:
    """Return a line for each value, with a dash before it."""
    return _lines(("- ", value) for value in values)


@library.filter
def numbered(values: list[Any]) -> str:
    """Return a line for each value, with its number before it."""
    return _lines((f"{number}. ", value) for number, value in enumerate(values, start=1))


@library.filter
def truncatechars(value: Any, most: Any) -> str:
    """Return at most so many characters; an ellipsis is one of them.

    Django's puts accents in order first, which takes a minute for 100,000 of them on one letter.
    """
    text, room = str(value), max(int(most), 0)
    return text if len(text) <= room else f"{text[: room - 1]}…"[:room]


@library.filter
def slugify(value: Any) -> str:
    """Return what Django's filter of that name does, whose time grows with the square of accents.

    They are dropped in the end, so that it does not matter that those of two pieces keep apart.
    """
    text = str(value)
    pieces = (text[start : start + A_PIECE] for start in range(0, len(text), A_PIECE))
    plain = "".join(unicodedata.normalize("NFKD", piece) for piece in pieces)
    return str(defaultfilters.slugify(plain.encode("ascii", "ignore").decode("ascii")))


@library.filter
def floatformat(value: Any, decimals: Any = -1) -> str:
    """Return the number rounded, as Django's filter of that name does."""
    if abs(int(str(decimals).rstrip("gu") or 0)) > MOST_DECIMALS:
        raise ValueError(f"floatformat takes at most {MOST_DECIMALS} decimals")
    return str(defaultfilters.floatformat(value, decimals))


def _lines(items: Iterable[tuple[str, Any]]) -> str:
    """Return the items below each other; a value of several lines stays indented as one item."""
    return _bounded(
        "\n".join(
            mark + _as_text(value).replace("\n", "\n" + " " * len(mark)) for mark, value in items
        )
    )


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _bounded(text: str) -> str:
    if len(text) > LONGEST_RESULT:
        raise ValueError("a filter makes the text too long")
    return text
