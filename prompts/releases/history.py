"""Where the labels of a prompt point, since when, and what is open."""

from dataclasses import dataclass

from django.db.models import QuerySet

from prompts.models import (
    PRODUCTION,
    LabelMove,
    LabelRule,
    MoveState,
    Prompt,
    PromptLabel,
)

NAMED = ("version", "previous_version", "proposed_by", "decided_by")
# What a version says, which a list of labels has no use for.
SAID = ("messages", "variables", "settings", "tools", "output_schema", "locales")
HEAVY = [f"version__{name}" for name in SAID]
HEAVY_BEFORE = [f"previous_version__{name}" for name in SAID]


@dataclass(frozen=True, slots=True)
class LabelState:
    """A label as people see it."""

    name: str
    label: PromptLabel | None  # None: its first move is still open
    last: LabelMove | None  # None: it has not moved since moves are written down
    open: LabelMove | None
    rule: LabelRule | None

    @property
    def back_to(self) -> int | None:
        """Return the version that a rollback leads to."""
        previous = self.last.previous_version if self.last and self.label else None
        return previous.number if previous else None


def last_move(prompt: Prompt, name: str) -> LabelMove | None:
    """Return the move that brought the label where it is; `None` where there is no label."""
    if not prompt.labels.filter(name=name).exists():
        return None
    return _last_moves(prompt).get(name)


def label_states(prompt: Prompt) -> list[LabelState]:
    """Return every label of the prompt, production first, and those that a move is to make."""
    labels = prompt.labels.select_related("version", "moved_by").defer(*HEAVY)
    there = {label.name: label for label in labels}
    moves = prompt.label_moves.open().select_related("version", "proposed_by").defer(*HEAVY)
    opened = {move.label: move for move in moves}
    rules = LabelRule.objects.filter(organization_id=prompt.organization_id)
    ruled = {rule.label: rule for rule in rules}
    last = _last_moves(prompt)
    return [
        LabelState(name, there.get(name), last.get(name), opened.get(name), ruled.get(name))
        for name in sorted(
            there.keys() | opened.keys(), key=lambda name: (name != PRODUCTION, name)
        )
    ]


def moves_of(prompt: Prompt, label: str = "") -> QuerySet[LabelMove]:
    """Return the moves of all labels, or of one, with those who made them; newest first."""
    moves = prompt.label_moves.newest_first()
    if label:
        moves = moves.filter(label=label)
    return moves.select_related(*NAMED).defer(*HEAVY, *HEAVY_BEFORE)


def _last_moves(prompt: Prompt) -> dict[str, LabelMove]:
    done = prompt.label_moves.filter(state=MoveState.DONE)
    newest = done.order_by("label", "-ended_at", "-pk").distinct("label")
    found = newest.select_related(*NAMED).defer(*HEAVY, *HEAVY_BEFORE)
    return {move.label: move for move in found}
