"""Characters that a vendor has cut into two halves (surrogates), in two pieces of an answer."""

import json
from typing import TypeVar

import msgspec

Form = TypeVar("Form")


class Halves:
    """Puts them together. A strict decoder refuses the half; all other texts pass by untouched."""

    def __init__(self) -> None:
        self._is_needed = False
        self._halves: dict[str, str] = {}  # by what they are a part of

    def decode(self, document: bytes, form: type[Form]) -> Form | None:
        """Return a document that the strict decoder has refused, if a half is all that it has."""
        try:
            decoded = msgspec.convert(json.loads(document), form)
        except (ValueError, msgspec.ValidationError, RecursionError):
            return None
        self._is_needed = True
        return decoded

    def join(self, text: str, of: str = "text") -> str:
        """Return the whole characters of `text`, and keep a half at its end for the next."""
        if not self._is_needed:
            return text
        text = self._halves.pop(of, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._halves[of] = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
