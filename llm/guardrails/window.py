"""A text that comes in pieces, looked at through a window over its end.

What a match could still be growing in is held back: mostly nothing or the last word, at most 256
characters, or a match that is sure. So a key that is cut over many pieces is seen whole, and all
else flows on.
"""

from collections import Counter
from collections.abc import Sequence

from llm.guardrails.blocked import answer_blocked
from llm.guardrails.decisions import Found
from llm.guardrails.findings import CONTEXT, WINDOW
from llm.guardrails.placeholders import Placeholders
from llm.guardrails.rules import Rule
from llm.guardrails.scan import Hit, look, places, settled

LONGEST_MATCH = 1024  # characters of a match that are remembered while it grows
HEAD, TAIL = 512, 128  # what is left of a longer one: it is replaced or refused anyway


class Window:
    """Passes on what is final, with what the rules replace replaced."""

    def __init__(
        self, rules: Sequence[Rule], found: Found, placeholders: Placeholders | None = None
    ) -> None:
        self._rules = rules
        self._found = found
        self._placeholders = placeholders or Placeholders()
        self._text = ""  # what was passed on last, as context, and what is held back
        self._passed = 0  # how much of it was passed on

    def feed(self, piece: str) -> str:
        """Return what can be passed on now; raise `Blocked` or `Unavailable`."""
        if not piece:
            return ""
        self._text += piece
        hits = look(self._rules, self._text, "out")
        final = settled(self._rules, self._text, hits)
        growing = [hit.end for hit in hits if hit.start == final and hit.rule.changes]
        if not growing:
            final = max(final, len(self._text) - WINDOW)
        out = self._pass_on(hits, max(final, self._passed))
        if growing:
            self._shorten()
        return out

    def finish(self) -> str:
        """Return what is left; nothing comes after it."""
        hits = look(self._rules, self._text, "out") if self._passed < len(self._text) else []
        return self._pass_on(hits, len(self._text))

    def _pass_on(self, hits: Sequence[Hit], final: int) -> str:
        """Return the text up to `final` and remember that it is gone."""
        new = [hit for hit in hits if self._passed <= hit.start < final]
        self._found.update(Counter((hit.rule, hit.kind) for hit in new))
        out, position = [], self._passed
        for place in places(new):
            if place.is_blocked:
                raise answer_blocked(place.check_name, place.kind)
            out.append(self._text[position : place.start])
            out.append(self._placeholders.text(place.kind, self._text[place.start : place.end]))
            position = place.end
        out.append(self._text[position:final])
        self._forget(max(position, final))
        return "".join(out)

    def _forget(self, passed: int) -> None:
        start = max(0, passed - CONTEXT)
        self._text = self._text[start:]
        self._passed = passed - start

    def _shorten(self) -> None:
        """Cut the middle out of a match that goes on and on."""
        held = len(self._text) - self._passed
        if held > LONGEST_MATCH:
            self._text = self._text[: self._passed + HEAD] + self._text[-TAIL:]
