"""The tags and filters of a prompt: Django's, without what reaches outside or has no bound."""

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.template import Library, defaultfilters, defaulttags
from django.template.base import Node, TextNode, Token

if TYPE_CHECKING:
    from prompts.templates import PromptParser

LONGEST_SEPARATOR = 20  # characters
MOST_DECIMALS = 20
LONGEST_RESULT = 1_000_000  # characters; each of these filters may make a text many times longer

library = Library()

for _name in ("comment", "if", "templatetag"):
    library.tag(_name, defaulttags.register.tags[_name])

for _name in (
    *("capfirst", "cut", "default", "default_if_none", "divisibleby", "first", "last", "length"),
    *("lower", "pluralize", "slice", "slugify", "title", "truncatechars", "truncatewords"),
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
def floatformat(value: Any, decimals: Any = -1) -> str:
    """Return the number rounded, as Django's filter of that name does."""
    if abs(int(str(decimals).rstrip("gu") or 0)) > MOST_DECIMALS:
        raise ValueError(f"floatformat takes at most {MOST_DECIMALS} decimals")
    return str(defaultfilters.floatformat(value, decimals))


def _bounded(text: str) -> str:
    if len(text) > LONGEST_RESULT:
        raise ValueError("a filter makes the text too long")
    return text
