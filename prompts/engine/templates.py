"""Django templates for prompts, in an engine of their own, far from files and the database.

A template sees JSON values and nothing else. It finds a value by key or index and never asks an
object for an attribute, so there is nothing to call; what it may do is bounded as it does it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.template import Engine, Template, TemplateSyntaxError
from django.template.base import (
    FilterExpression,
    NodeList,
    Parser,
    TextNode,
    Token,
    VariableNode,
)
from django.template.base import Variable as DjangoVariable
from django.template.defaulttags import CommentNode, TemplateTagNode
from django.utils import translation
from django.utils.functional import Promise

from prompts.engine.filling import Filling, Values
from prompts.engine.lexing import LinearLexer
from prompts.engine.vocabulary import Include, library
from prompts.errors import PromptRenderFailed

MAX_NESTING = 50  # tags within tags

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
    """A compiled template, and what it takes from outside."""

    names: dict[str, int]  # of variables, each with its first line
    includes: list[Include]  # what it includes, in order

    def __init__(self, source: str) -> None:
        super().__init__(source, engine=_engine)

    def compile_nodelist(self) -> NodeList:
        parser = PromptParser(self.source)
        try:
            nodelist = parser.parse()
        except RecursionError:
            raise parser.error(parser.token, "an expression is too long") from None
        except (*UNSUITABLE, StopIteration) as error:
            if isinstance(error, TemplateSyntaxError):
                raise
            raise _placed(parser.token, "this tag cannot be read") from None
        self.names, self.includes = parser.names, parser.includes
        return nodelist

    def text(self, values: Mapping[str, Any], filling: Filling) -> str:
        """Return the text for `values`; raise `PromptRenderFailed` where they do not suit it."""
        try:
            written = self.nodelist.render(Values(values, filling, self))
        except UNSUITABLE as error:
            raise PromptRenderFailed(
                f"The prompt does not work with these values: {error}"
            ) from error
        return "".join((written,))  # a plain string: Django's remembers that it is safe HTML


@contextmanager
def nobodys_language() -> Iterator[None]:
    """Let filters write the same whoever looks: languages change nothing in here."""
    with translation.override(None):
        yield


class PromptParser(Parser):
    """Django's parser with our vocabulary, which notes what the template takes from outside."""

    def __init__(self, source: str) -> None:
        super().__init__(LinearLexer(source).tokenize(), builtins=[library])
        self.names: dict[str, int] = {}
        self.includes: list[Include] = []
        self.token: Token  # the one being read
        self._bound = Counter(["True", "False", "None"])

    @contextmanager
    def binding(self, *names: str) -> Iterator[None]:
        """Know `names` as the template's own while the block runs."""
        self._bound.update(names)
        try:
            yield
        finally:
            self._bound.subtract(names)

    def parse(self, parse_until: Any = None) -> NodeList:
        if len(self.command_stack) > MAX_NESTING:
            raise self.error(self.token, f"tags are nested more than {MAX_NESTING} deep")
        return super().parse(parse_until)

    def next_token(self) -> Token:
        self.token = super().next_token()
        return self.token

    def compile_filter(self, token: str) -> FilterExpression:
        expression = _Expression(token, self)
        expression.var = self._json(expression.var)
        expression.filters = [
            (function, [(is_variable, self._json(value)) for is_variable, value in arguments])
            for function, arguments in expression.filters
        ]
        return expression

    def extend_nodelist(self, nodelist: NodeList, node: Any, token: Token) -> None:
        match node:
            case CommentNode():
                return
            case TemplateTagNode():
                node = _Text(node.mapping[node.tagtype])
            case TextNode():
                node = _Text(node.s)
            case VariableNode():
                node = _Output(node.filter_expression)
            case Include():
                self.includes.append(node)
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
        is_variable = isinstance(value, DjangoVariable)
        if isinstance(value, Promise) or (is_variable and value.translate):
            raise TemplateSyntaxError("a text in `_()` cannot be used: write it as it is")
        if not is_variable or value.lookups is None:
            return value
        name = value.lookups[0]
        if not self._bound[name]:
            self.names.setdefault(name, self.token.lineno or 1)
        return _Path(str(value.var))


def _placed(token: Token, reason: str) -> TemplateSyntaxError:
    error = TemplateSyntaxError(reason)
    error.token = token  # type: ignore[attr-defined]  # as the parser's own errors have it
    return error


class _Expression(FilterExpression):
    """A value with its filters, each of which is counted by what it makes."""

    __slots__ = ()

    def resolve(self, context: Any, ignore_failures: bool = False) -> Any:
        value = context.counted(self.var.resolve(context) if self.is_var else self.var)
        for function, arguments in self.filters:
            given = [one.resolve(context) if is_path else one for is_path, one in arguments]
            value = context.made(function(value, *given))
        return value


class _Path(DjangoVariable):
    """A variable that is looked up in JSON by key or index; what is missing is `None`."""

    __slots__ = ()

    def resolve(self, context: Any) -> Any:
        assert self.lookups is not None  # noqa: S101 - the parser makes paths of names only
        current = context[self.lookups[0]]
        for step in self.lookups[1:]:
            current = context.counted(_step(current, step))
        return current


def _step(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return list(value.items()) if step == "items" and step not in value else value.get(step)
    if isinstance(value, list | tuple) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


class _Text(TextNode):
    def render_annotated(self, context: Any) -> str:
        context.take(len(self.s))
        return self.s


class _Output(VariableNode):
    def render_annotated(self, context: Any) -> str:
        value = self.filter_expression.resolve(context)
        text = "" if value is None else str(value)
        context.take(len(text))
        return text


_engine = Engine(loaders=[], autoescape=False, debug=False)
