"""What stands where something was: `[email]`, or `[email 2]` where there are several."""

import re

from llm.guardrails import injection, words

INSIGNIFICANT = re.compile(r"[\s()./–-]+")
REMOVED = {*words.KINDS, *injection.KINDS}  # their names would say nothing to the model


class Placeholders:
    """The same thing has the same name throughout a request, or throughout an answer."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._is_complete = False

    def note(self, kind: str, value: str) -> int:
        """Return the number of this value among all of its kind, a new one if it is new."""
        numbers = self._numbers.setdefault(kind, {})
        return numbers.setdefault(_same(kind, value), len(numbers) + 1)

    def complete(self) -> None:
        """Say that all values are noted: from here on the first has a number if there are more."""
        self._is_complete = True

    def text(self, kind: str, value: str) -> str:
        """Return what stands for the value."""
        if kind in REMOVED:
            return "[removed]"
        number = self.note(kind, value)
        name = kind.replace("_", " ")
        is_only_one = number == 1 and not (self._is_complete and len(self._numbers[kind]) > 1)
        return f"[{name}]" if is_only_one else f"[{name} {number}]"


def _same(kind: str, value: str) -> str:
    """Return the value as it is compared: a number is the same however it is grouped."""
    if kind in ("email", "word"):
        return value.casefold()
    return INSIGNIFICANT.sub("", value).casefold() if kind in ("phone", "card", "iban") else value
