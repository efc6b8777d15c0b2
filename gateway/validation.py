"""Bodies read straight into types; what is wrong is refused by the name of its field."""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from core.errors import InvalidRequest
from gateway.errors import UnknownParameter, UnsupportedParameter

T = TypeVar("T")
NOTHING: Mapping[str, str] = {}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some programs on Windows begin with it


def decode(
    decoder: "msgspec.json.Decoder[T]",
    body: bytes | msgspec.Raw,
    *,
    unsupported: Mapping[str, str] = NOTHING,
    at: str = "",
) -> T:
    """Return `body` as the decoder's type, or raise an error that names the field.

    `unsupported` has fields that the protocol knows and Parley does not take, each with what to do.
    `at` is where in the whole body it stands, if it is only a part: `input[3]`.
    """
    try:
        return decoder.decode(bytes(body).removeprefix(BYTE_ORDER_MARK))
    except msgspec.ValidationError as error:
        raise _explain(str(error), unsupported, at) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON: {error}.") from None


# How msgspec words it: what, and where as `$.messages[0].content`.
_PLACED = re.compile(r"(?P<what>.*?)(?: - at `(?P<place>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _explain(
    text: str, unsupported: Mapping[str, str], at: str
) -> InvalidRequest | UnknownParameter | UnsupportedParameter:
    placed = _PLACED.fullmatch(text)
    what, place = (placed["what"], placed["place"]) if placed else (text, None)
    outer = (at + (place or "$").removeprefix("$")).removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(what):
        return _refuse_unknown(".".join(filter(None, [outer, unknown[1]])), unsupported)
    if missing := _MISSING.fullmatch(what):
        param = ".".join(filter(None, [outer, missing[1]]))
        return InvalidRequest(f"`{param}` is missing.", param=param)
    if not outer:
        return InvalidRequest(f"The body is wrong: {what}.")
    return InvalidRequest(f"`{outer}` is wrong: {what}.", param=outer)


def _refuse_unknown(
    param: str, unsupported: Mapping[str, str]
) -> UnknownParameter | UnsupportedParameter:
    if param in unsupported:
        return UnsupportedParameter(
            f"`{param}` is not supported. {unsupported[param]}", param=param
        )
    return UnknownParameter(f"There is no parameter `{param}`.", param=param)
