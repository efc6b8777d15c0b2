"""JSON values as YAML: written the same way each time, and read with the line of every place.

Only what JSON can say is read. Anchors, aliases and tags are refused, `yes` is a text, and so is
2026-11-21; keys are texts, none of them twice.
"""

import math
import re
import sys
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 5_000_000  # of one file
MAX_NODES = 50_000
MAX_DEPTH = 100
MAX_PLACES = 10_000_000  # characters of all places together: each has the keys that lead to it
LONGEST_NUMBER = 400  # digits

NULL = re.compile(r"null|Null|NULL|~|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
OTHERS = re.compile(r"y|yes|n|no|on|off", re.IGNORECASE)  # true or false to older readers of YAML
FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
# What a block of text shows as it is: no character that readers take for the end of a line.
PLAIN_LINES = re.compile(
    r"[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)


class Block(str):
    """A text that is written as lines of its own, however short it is."""

    __slots__ = ()


class DocumentInvalid(Exception):
    """The text is no document, or none that may be read."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


class Document(NamedTuple):
    value: Any
    lines: dict[str, int]  # where each place begins, a text with the first line of its words


# --- Writing --------------------------------------------------------------------------------------


class _Writer(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # filled below

    def ignore_aliases(self, data: Any) -> bool:
        """Write what occurs twice in full, twice."""
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """Let lines that end in blanks, or have tabs, be shown as they are."""
        analysis = super().analyze_scalar(scalar)
        analysis.allow_block = bool(scalar.strip() and PLAIN_LINES.fullmatch(scalar))
        return analysis


def _written_text(writer: _Writer, text: str) -> yaml.Node:
    style = None
    if isinstance(text, Block) or "\n" in text:
        style = "|"
    elif not PLAIN_LINES.fullmatch(text):
        style = '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Writer.add_representer(str, _written_text)
_Writer.add_representer(Block, _written_text)
for _kind, _pattern, _first in (
    ("null", NULL, ["n", "N", "~", ""]),
    ("bool", TRUE, ["t", "T"]),
    ("bool", FALSE, ["f", "F"]),
    ("bool", OTHERS, list("yYnNoO")),
    ("int", INTEGER, list("-0123456789")),
    ("float", FLOAT, list("-0123456789")),
):
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z", _pattern.flags)
    _Writer.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _whole, _first)


def write(value: Any) -> str:
    """Return the value as YAML, its keys in their order."""
    text: str = yaml.dump(
        value,
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=sys.maxsize,
    )
    return text


# --- Reading --------------------------------------------------------------------------------------


def read(content: bytes) -> Document:
    """Return what the document says; raise `DocumentInvalid` for anything but plain YAML."""
    if len(content) > MAX_BYTES:
        raise DocumentInvalid(None, f"The file has more than {MAX_BYTES:,} bytes.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentInvalid(None, "The file is not written in UTF-8.") from None
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentInvalid(line, f"This is not YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", "it cannot be read")
        raise DocumentInvalid(_line_of(error, text), f"This is not YAML: {reason}.") from None


def _line_of(error: yaml.YAMLError, text: str) -> int | None:
    position = getattr(error, "position", None)
    return None if position is None else text.count("\n", 0, position) + 1


class _Reader:
    """Makes values of YAML's events, which come one by one: what is too much ends it early."""

    def __init__(self, text: str) -> None:
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.lines: dict[str, int] = {}
        self.room = MAX_PLACES

    def document(self) -> Document:
        next(self.events)  # the stream begins
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise DocumentInvalid(None, "The file is empty.")
        value = self._value(next(self.events), "", 0)
        next(self.events)  # the document ends
        following = next(self.events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise _invalid(following, "There is a second document in the file")
        return Document(value, self.lines)

    def _value(self, event: Any, place: str, depth: int) -> Any:
        _check_kind(event)
        if depth > MAX_DEPTH:
            raise _invalid(event, f"More than {MAX_DEPTH} levels are too deep")
        self.room -= len(place)
        if len(self.lines) >= MAX_NODES or self.room < 0:
            raise _invalid(event, f"The file says more than {MAX_NODES:,} things, or too deep")
        # The words of a block begin below its mark.
        is_block = isinstance(event, yaml.ScalarEvent) and event.style in ("|", ">")
        self.lines[place] = event.start_mark.line + (2 if is_block else 1)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(place, depth)
        return _scalar(event)

    def _mapping(self, place: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            _check_kind(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _invalid(event, "A key is a text")
            name = _sendable(event)
            if name in found:
                raise _invalid(event, f"“{name[:100]}” stands here twice")
            inside = f"{place}.{name}" if place else name
            found[name] = self._value(next(self.events), inside, depth + 1)
        return found

    def _list(self, place: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self._value(event, f"{place}[{len(found)}]", depth + 1))
        return found


def _check_kind(event: Any) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise _invalid(event, "Write it out: what is named by & or * is not read")
    if getattr(event, "tag", None) is not None:
        raise _invalid(event, "What begins with ! is not read")


def _scalar(event: Any) -> Any:
    text = _sendable(event)
    if not event.implicit[0]:  # it stands in quotes, or in a block
        return text
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return text.lower() == "true"
    if not FLOAT.fullmatch(text):
        return text
    if len(text) > LONGEST_NUMBER or not math.isfinite(float(text)):
        raise _invalid(event, "The number is too large")
    return int(text) if INTEGER.fullmatch(text) else float(text)


def _sendable(event: Any) -> str:
    """Return the words of a scalar; a zero character and half of one are none."""
    text: str = event.value
    if "\0" in text:
        raise _invalid(event, "A zero character can be in no text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid(event, "Half of a character can be in no text") from None
    return text


def _invalid(event: Any, text: str) -> DocumentInvalid:
    return DocumentInvalid(event.start_mark.line + 1, f"{text}.")
