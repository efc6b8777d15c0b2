"""Every write to labels. Each move is a row that says who, when, from where, to where and why."""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from core.errors import AppError, InvalidRequest, NotFound
from core.history import write_down
from prompts.models import (
    LABEL_NAME,
    PRODUCTION,
    WRONG_LABEL,
    Experiment,
    LabelMove,
    MoveState,
    Prompt,
    PromptLabel,
)
from prompts.releases.errors import LabelUnchanged, MoveRefused, SecondPersonNeeded
from prompts.releases.history import last_move
from prompts.releases.rules import check_move, check_tests, rule_of

logger = structlog.get_logger(__name__)

LONGEST_NOTE = 300
TRUSTED = timedelta(days=30)  # what was in force so recently, one person may bring back


def release(
    *,
    prompt: Prompt,
    number: int,
    by: User | None,
    name: str = PRODUCTION,
    note: str = "",
    due_at: datetime | None = None,
) -> LabelMove:
    """Return the move that the label's rule allows: done, scheduled, or proposed.

    It is proposed where a second person is needed.
    """
    if by is not None and rule_of(prompt, name).needs_second_person:
        return propose_move(
            prompt=prompt, number=number, by=by, name=name, note=note, due_at=due_at
        )
    if due_at is not None:
        return schedule(prompt=prompt, number=number, by=by, name=name, note=note, due_at=due_at)
    return move_label(prompt=prompt, number=number, by=by, name=name, note=note)


@transaction.atomic
def move_label(
    *,
    prompt: Prompt,
    number: int,
    name: str = PRODUCTION,
    by: User | None = None,
    note: str = "",
) -> LabelMove:
    """Point the label at another version at once; calls use it within a second.

    Raise `SecondPersonNeeded` or `PassedTestsNeeded` where its rule asks for more.
    """
    move = _begin(prompt, number, name, by, note)
    check_move(move)
    return _carry_out(move)


@transaction.atomic
def propose_move(
    *,
    prompt: Prompt,
    number: int,
    by: User,
    name: str = PRODUCTION,
    note: str = "",
    due_at: datetime | None = None,
) -> LabelMove:
    """Return a move that waits for a second person, and then for its time if it has one."""
    move = _begin(prompt, number, name, by, note)
    check_tests(rule_of(prompt, name), move.version)
    return _open(move, MoveState.PROPOSED, due_at)


@transaction.atomic
def schedule(
    *,
    prompt: Prompt,
    number: int,
    due_at: datetime,
    by: User | None,
    name: str = PRODUCTION,
    note: str = "",
) -> LabelMove:
    """Return a move that the worker makes when it is due, if the rule still allows it then."""
    move = _begin(prompt, number, name, by, note)
    check_move(move)
    return _open(move, MoveState.SCHEDULED, due_at)


@transaction.atomic
def confirm(move: LabelMove, *, by: User) -> LabelMove:
    """Let a proposed move happen, now or when it is due; never by the person who proposed it."""
    found = _open_move(move.pk)
    if found.state != MoveState.PROPOSED:
        raise MoveRefused(f"It is {found.get_state_display().lower()} already.")
    if found.proposed_by_id == by.pk:
        raise SecondPersonNeeded("Somebody else has to confirm what you have proposed.")
    found.decided_by, found.decided_at = by, timezone.now()
    _check_changes(found)
    check_move(found)
    if found.due_at is None or found.due_at <= timezone.now():
        return _carry_out(found)
    found.state = MoveState.SCHEDULED
    found.save()
    _log(found, by, "confirmed, and waits for its time")
    return found


@transaction.atomic
def refuse(move: LabelMove, *, by: User) -> LabelMove:
    """End the open move of somebody else, also one that is scheduled."""
    found = _open_move(move.pk)
    if found.proposed_by_id == by.pk:
        raise MoveRefused("You have proposed it yourself: withdraw it.")
    found.decided_by, found.decided_at = by, timezone.now()
    return _end(found, MoveState.REFUSED, by)


@transaction.atomic
def withdraw(move: LabelMove, *, by: User) -> LabelMove:
    """End an open move of one's own."""
    found = _open_move(move.pk)
    if found.proposed_by_id != by.pk:
        raise MoveRefused("Only who proposed it can withdraw it; others refuse it.")
    return _end(found, MoveState.WITHDRAWN, by)


@transaction.atomic
def rollback(*, prompt: Prompt, by: User, name: str = PRODUCTION, note: str = "") -> LabelMove:
    """Point the label back to where it pointed before its last move.

    What was in force within the last 30 days comes back at once, whatever the rule asks for:
    in an emergency nobody waits for a second person. What is older is a move like any other.
    """
    _lock(prompt)
    last = last_move(prompt, name)
    if last is None or last.previous_version is None:
        raise MoveRefused(f"“{name}” has no version to go back to.")
    why = f"Rollback from version {last.version.number}. {note}".strip()[:LONGEST_NOTE]
    number = last.previous_version.number
    if last.ended_at is None or last.ended_at < timezone.now() - TRUSTED:
        return release(prompt=prompt, number=number, by=by, name=name, note=why)
    return _carry_out(_begin(prompt, number, name, by, why))


@transaction.atomic
def delete_label(*, prompt: Prompt, name: str, by: User) -> None:
    """Take a label away; callers who ask for it are then told that there is none."""
    _lock(prompt)
    label = prompt.labels.filter(name=name).first()
    if label is None:
        raise NotFound(f"The prompt “{prompt}” has no label “{name}”.")
    if name == PRODUCTION:
        raise MoveRefused(f"“{PRODUCTION}” stays: callers get it unless they name another.")
    if rule_of(prompt, name).needs_second_person:
        raise SecondPersonNeeded(f"“{name}” is protected by its rule: change that first.")
    if prompt.label_moves.open().filter(label=name).exists():
        raise MoveRefused(f"A move of “{name}” is open: withdraw or refuse it first.")
    if Experiment.objects.running().filter(prompt=prompt, label=name).exists():
        raise MoveRefused(f"A running experiment splits the calls for “{name}”: stop it first.")
    label.delete()
    write_down(prompt, by, f"The label “{name}” was taken away.")


def move_due() -> int:
    """Make the scheduled moves whose time has come; return how many. Safe in several workers."""
    due = LabelMove.objects.filter(state=MoveState.SCHEDULED, due_at__lte=timezone.now())
    return sum(
        _move_when_due(pk) for pk in due.order_by("due_at", "pk").values_list("pk", flat=True)
    )


@transaction.atomic
def _move_when_due(pk: int) -> bool:
    move = LabelMove.objects.select_related("prompt").get(pk=pk)
    _lock(move.prompt)
    move.refresh_from_db(fields=["state", "decided_by"])
    if move.state != MoveState.SCHEDULED:
        return False  # another worker was here, or somebody has ended it
    try:
        with transaction.atomic():
            _check_changes(move)
            check_move(move)
            _carry_out(move)
    except AppError as error:
        move.failure = error.message[:300]
        _end(move, MoveState.FAILED, move.proposed_by)
    return True


def _lock(prompt: Prompt) -> None:
    """Let moves of one prompt's labels come one after the other; a label may not be there yet."""
    Prompt.objects.select_for_update(no_key=True).get(pk=prompt.pk)


def _begin(prompt: Prompt, number: int, name: str, by: User | None, note: str) -> LabelMove:
    """Return a move that is not saved yet, of a label that nobody else can move meanwhile."""
    if not LABEL_NAME.fullmatch(name):
        raise InvalidRequest(WRONG_LABEL, param="name")
    if len(note) > LONGEST_NOTE:
        raise InvalidRequest(f"A note has {LONGEST_NOTE} characters at most.", param="note")
    version = prompt.versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"The prompt “{prompt}” has no version {number}.")
    _lock(prompt)
    move = LabelMove(prompt=prompt, label=name, version=version, note=note, proposed_by=by)
    _check_changes(move)
    return move


def _check_changes(move: LabelMove) -> None:
    if move.prompt.labels.filter(name=move.label, version=move.version).exists():
        raise LabelUnchanged(f"Version {move.version.number} is “{move.label}” already.")


def _open(move: LabelMove, state: MoveState, due_at: datetime | None) -> LabelMove:
    if due_at is not None and due_at <= timezone.now():
        raise InvalidRequest("The time of a move is in the future.", param="due_at")
    if move.prompt.label_moves.open().filter(label=move.label).exists():
        raise MoveRefused(f"A move of “{move.label}” is open already: end it first.")
    move.state, move.due_at = state, due_at
    move.save()
    _log(move, move.proposed_by, state.label.lower())
    return move


def _open_move(pk: int) -> LabelMove:
    """Return an open move that nobody else can end meanwhile."""
    found = LabelMove.objects.select_related("prompt", "version").get(pk=pk)
    _lock(found.prompt)
    found.refresh_from_db(fields=["state", "due_at", "proposed_by", "decided_by"])
    if found.state not in (MoveState.PROPOSED, MoveState.SCHEDULED):
        raise MoveRefused(f"It is {found.get_state_display().lower()} already.")
    return found


def _carry_out(move: LabelMove) -> LabelMove:
    """Point the label at the version, and keep where it pointed before."""
    label = move.prompt.labels.select_for_update().filter(name=move.label).first()
    move.previous_version = label.version if label else None
    PromptLabel.objects.update_or_create(
        prompt=move.prompt,
        name=move.label,
        defaults={"version": move.version, "moved_by": move.proposed_by},
    )
    return _end(move, MoveState.DONE, move.decided_by or move.proposed_by)


def _end(move: LabelMove, state: MoveState, by: User | None) -> LabelMove:
    move.state, move.ended_at = state, timezone.now()
    move.save()
    _log(move, by, state.label.lower())
    return move


def _log(move: LabelMove, by: User | None, what: str) -> None:
    """Write down for the audit trail what became of a move."""
    number = move.version.number
    logger.info(
        "prompts.label_move",
        prompt=move.prompt.name,
        label=move.label,
        version=number,
        state=str(move.state),
    )
    reason = move.failure or move.note
    ending = f": {reason}" if reason else "."
    write_down(move.prompt, by, f"“{move.label}” to version {number}, {what}{ending}")
