"""Django templates for prompts, in an engine of their own, far from files and the database.

A template sees JSON values and nothing else. It finds a value by key or index and never asks an
object for an attribute, so there is nothing to call; what it may write is bounded as it writes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.template import Context, Engine, Template, TemplateSyntaxError
from django.template.base import (
    FilterExpression,
    Lexer,
    NodeList,
    Parser,
    TextNode,
    Token,
    VariableNode,
)
from django.template.base import Variable as DjangoVariable
from django.utils import translation

from prompts.errors import PromptRenderFailed
from prompts.vocabulary import library

MAX_NESTING = 50  # tags within tags
MAX_OUTPUT = 1_000_000  # characters written plus turns of loops

# What Django's tags and filters raise when a value does not suit them.
UNSUITABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    TemplateSyntaxError,
)


class PromptTemplate(Template):
    """A compiled template; `names` are the variables it takes, each with its first line."""

    names: dict[str, int]

    def __init__(self, source: str) -> None:
        super().__init__(source, engine=_engine)

    def compile_nodelist(self) -> NodeList:
        parser = PromptParser(self.source)
        try:
            nodelist = parser.parse()
        except RecursionError:
            raise parser.error(parser.token, "an expression is too long") from None
        self.names = parser.names
        return nodelist

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the text for `values`, whoever looks: languages change nothing here."""
        try:
            with translation.override(None):
                written = self.render(_Values(dict(values)))
        except UNSUITABLE as error:
            raise PromptRenderFailed(
                f"The prompt does not work with these values: {error}"
            ) from error
        return "".join((written,))  # a plain string: Django's remembers that it is safe HTML


class PromptParser(Parser):
    """Django's parser with our vocabulary, which notes what the template takes from outside."""

    def __init__(self, source: str) -> None:
        super().__init__(Lexer(source).tokenize(), builtins=[library])
        self.names: dict[str, int] = {}
        self.token: Token  # the one being read
        self._bound: list[str] = ["True", "False", "None"]

    @contextmanager
    def binding(self, *names: str) -> Iterator[None]:
        """Know `names` as the template's own while the block runs."""
        outside = len(self._bound)
        self._bound.extend(names)
        try:
            yield
        finally:
            del self._bound[outside:]

    def parse(self, parse_until: Any = None) -> NodeList:
        if len(self.command_stack) > MAX_NESTING:
            raise self.error(self.token, f"tags are nested more than {MAX_NESTING} deep")
        return super().parse(parse_until)

    def next_token(self) -> Token:
        self.token = super().next_token()
        return self.token

    def compile_filter(self, token: str) -> FilterExpression:
        expression = super().compile_filter(token)
        expression.var = self._json(expression.var)
        expression.filters = [
            (function, [(is_variable, self._json(value)) for is_variable, value in arguments])
            for function, arguments in expression.filters
        ]
        return expression

    def extend_nodelist(self, nodelist: NodeList, node: Any, token: Token) -> None:
        if type(node) is TextNode:
            node = _Text(node.s)
        elif type(node) is VariableNode:
            node = _Output(node.filter_expression)
        super().extend_nodelist(nodelist, node, token)

    def invalid_block_tag(self, token: Token, command: str, parse_until: Any = None) -> Any:
        expected = f", expected {' or '.join(parse_until)}" if parse_until else ""
        tags = ", ".join(sorted(library.tags))
        raise self.error(token, f"“{command}” cannot be used here{expected}. The tags are: {tags}")

    def find_filter(self, filter_name: str) -> Any:
        if filter_name not in self.filters:
            filters = ", ".join(sorted(self.filters))
            raise TemplateSyntaxError(f"there is no filter “{filter_name}”. There are: {filters}")
        return super().find_filter(filter_name)

    def _json(self, value: Any) -> Any:
        if not isinstance(value, DjangoVariable) or value.lookups is None:
            return value
        name = value.lookups[0]
        if name not in self._bound:
            self.names.setdefault(name, self.token.lineno or 1)
        return _Path(str(value.var))


class _Path(DjangoVariable):
    """A variable that is looked up in JSON by key or index; what is missing is `None`."""

    __slots__ = ()

    def _resolve_lookup(self, context: Any) -> Any:
        assert self.lookups is not None  # noqa: S101 - the parser makes paths of names only
        name, *rest = self.lookups
        current = context[name]
        for step in rest:
            current = _step(current, step)
        return current


def _step(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return list(value.items()) if step == "items" and step not in value else value.get(step)
    if isinstance(value, list | tuple) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


class _Values(Context):
    """The variables of one rendering, and how much it may still write."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values, autoescape=False, use_l10n=False)
        self._room = MAX_OUTPUT

    def take(self, amount: int) -> None:
        """Count what is written or done; raise when it gets too much."""
        self._room -= amount
        if self._room < 0:
            raise PromptRenderFailed(f"The prompt is longer than {MAX_OUTPUT:,} characters.")

    def __getitem__(self, key: Any) -> Any:
        if key not in self:  # the parser finds all but `{% for item in item %}`
            raise PromptRenderFailed(f"The prompt uses “{key}”, which has no value there.")
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.take(1)
        super().__setitem__(key, value)

    def update(self, other_dict: Any) -> Any:
        self.take(1)
        return super().update(other_dict)


class _Text(TextNode):
    def render_annotated(self, context: Any) -> str:
        context.take(len(self.s))
        return self.s


class _Output(VariableNode):
    def render(self, context: Any) -> str:
        value = self.filter_expression.resolve(context)
        text = "" if value is None else str(value)
        context.take(len(text))
        return text


_engine = Engine(loaders=[], autoescape=False, debug=False)
