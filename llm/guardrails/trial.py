"""What the rules would do about a text, for staff who try them; nothing is kept of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from llm.guardrails import rules
from llm.guardrails.blocked import answer_blocked, request_blocked
from llm.guardrails.findings import Way
from llm.guardrails.labels import label
from llm.guardrails.requests import Text, Verdict, judge
from llm.guardrails.rules import Rule
from llm.guardrails.scan import Budget, Hit, scan
from llm.models.guardrails import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A text, and the call that it would be part of."""

    text: str
    role: str  # who wrote it: "user", "tool", or "assistant" for an answer
    organization_id: int | None
    prompt_name: str = ""
    surface: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text; where something was found, what."""

    text: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What one rule has found of one kind."""

    rule: Rule
    kind: str
    count: int

    @property
    def done(self) -> str:
        """What the rule does about it, in words."""
        return str(Action(self.rule.action).label)


@dataclass(frozen=True, slots=True)
class Trial:
    """What would happen."""

    counting: Sequence[Rule]
    not_asked: Sequence[Rule]  # moderation: it would cost money
    rows: Sequence[Row]
    pieces: Sequence[Piece]
    refusal: str  # what the caller would be told; empty: the text would go on
    result: str  # as it would go on


def run(question: Question) -> Trial:
    """Return what would happen under the rules as they stand; raise `Unavailable`."""
    way: Way = "out" if question.role == "assistant" else "in"
    found = rules.load(question.organization_id)
    applying = found.applying(question.prompt_name, question.surface)
    counting = applying.outgoing if way == "out" else applying.incoming
    local = [rule for rule in counting if rule.check]
    text = Text(question.text, question.role)
    if way == "in":
        verdict = judge([text], local)
    else:
        verdict = Verdict([text], [scan(local, text.text, "out", Budget())])
    refused, place = request_blocked if way == "in" else answer_blocked, verdict.blocked
    return Trial(
        counting=counting,
        not_asked=[rule for rule in counting if not rule.check],
        rows=[Row(rule, label(kind), n) for (rule, kind), n in Counter(verdict.found).items()],
        pieces=_pieces(text.text, verdict.hits[0]),
        refusal=refused(place.check_name, place.kind).message if place else "",
        result="" if place else verdict.redacted()[0],
    )


def _pieces(text: str, hits: Sequence[Hit]) -> list[Piece]:
    """Return the text in parts, found and not; of findings that overlap the first is shown."""
    pieces, position = [], 0
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if hit.start >= position:
            pieces.append(Piece(text[position : hit.start]))
            pieces.append(Piece(text[hit.start : hit.end], label(hit.kind)))
            position = hit.end
    return [piece for piece in [*pieces, Piece(text[position:])] if piece.text]
