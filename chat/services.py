"""Every write to conversations and messages."""

from dataclasses import dataclass, fields
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.principal import Principal
from billing.models import UsageRecord, UsageState
from chat import log, markdown
from chat.models import MODEL_LENGTH, TITLE_LENGTH, Conversation, Message, MessageRole, Status
from core.errors import AppError, InvalidRequest, NotFound
from core.throttle import Throttle

logger = structlog.get_logger(__name__)

DEFAULT_MODEL = "default"  # the route that staff point to the model of their choice
LONGEST_QUESTION = 200_000  # characters
SILENCE = timedelta(seconds=15)  # without a sign of life from its process, an answer is over
REAPED_AT_ONCE = 100
INTERRUPTED_CODE = "interrupted"
INTERRUPTED_MESSAGE = "The server that wrote this answer went away. What it wrote is kept."


class GenerationRunning(AppError):
    """An answer of this conversation is still being written."""

    code = "generation_running"
    http_status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person sends."""

    text: str
    client_request_id: UUID
    parent: UUID | None = None  # None: the end of the branch that is shown
    model: str = ""  # empty: as before


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and its answer, which is to be written if the turn is new."""

    conversation: UUID
    question: UUID
    answer: UUID
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an answer has ended: the last state of its row."""

    status: Status
    text: str
    html: str
    cursor: int  # of the last event before the end
    error_code: str = ""
    error_message: str = ""
    model_served: str = ""
    prompt_name: str = ""
    prompt_version: int | None = None
    usage_id: UUID | None = None


ENDING_FIELDS = tuple(field.name for field in fields(Ending))


questions = Throttle("questions", times=lambda: settings.MESSAGES_PER_MINUTE, seconds=60)


def count_question(principal: Principal) -> None:
    """Count a question of a person, or raise `TooOften`; to be called before it is written down."""
    person = str(principal.user_id)
    questions.check(person, "You have sent many messages in a short time.")
    questions.count(person)


@transaction.atomic
def start_conversation(*, principal: Principal, question: Question) -> Turn:
    """Begin a conversation with its first question; sent twice, it is begun once."""
    _check(question)
    if principal.user_id is None:
        raise NotFound("Only a person can have a conversation.")
    conversation, _ = Conversation.objects.get_or_create(
        user_id=principal.user_id,
        client_request_id=question.client_request_id,
        defaults={
            "organization_id": principal.organization_id,
            "title": _title(question.text),
            "model": question.model or DEFAULT_MODEL,
        },
    )
    return send_message(principal=principal, conversation_id=conversation.pk, question=question)


@transaction.atomic
def send_message(*, principal: Principal, conversation_id: UUID, question: Question) -> Turn:
    """Add a question and the running answer to it; sent twice, it is asked once.

    Raises `GenerationRunning` while another answer of the conversation is being written.
    """
    _check(question)
    conversation = _own(principal, conversation_id)
    if known := _known_turn(conversation, question):
        return known
    if conversation.messages.running().exists():
        raise GenerationRunning("Wait for the answer that is being written, or stop it.")
    turn = _add_turn(conversation, question)
    conversation.active_leaf_id = turn.answer
    conversation.model = question.model or conversation.model
    conversation.save(update_fields=["active_leaf", "model", "updated_at"])
    return turn


@transaction.atomic
def rename(*, principal: Principal, conversation_id: UUID, title: str) -> Conversation:
    """Give a conversation another title, and leave it where it is in the list; return it."""
    conversation = _own(principal, conversation_id)
    conversation.title = " ".join(title.split())
    conversation.save(update_fields=["title"])
    return conversation


@transaction.atomic
def delete(*, principal: Principal, conversation_id: UUID) -> None:
    """Delete a conversation with its messages; what they cost stays in the usage records.

    Raises `GenerationRunning` while an answer is being written.
    """
    conversation = _own(principal, conversation_id)
    if conversation.messages.running().exists():
        raise GenerationRunning("An answer is being written: stop it first.")
    conversation.delete()


def stop(*, principal: Principal, message_id: UUID) -> None:
    """Ask for the end of an answer; the row remembers it for whichever process writes it."""
    message = Message.objects.visible_to(principal).filter(pk=message_id).first()
    if message is None:
        raise NotFound("There is no such answer.")
    Message.objects.running().filter(pk=message_id).update(stop_requested_at=timezone.now())


def save_progress(*, message_id: UUID, text: str, finished: int, cursor: int) -> bool:
    """Save what is written so far, and a sign of life; return whether a stop is asked for.

    `finished` says how much of the text the log has told as blocks by the position `cursor`.
    """
    # An answer that was given up for dead keeps that end until its true one comes.
    Message.objects.running().filter(pk=message_id).update(
        text=text, finished=finished, cursor=cursor, heartbeat_at=timezone.now()
    )
    return Message.objects.filter(pk=message_id, stop_requested_at__isnull=False).exists()


@transaction.atomic
def finish(*, message_id: UUID, ending: Ending) -> Message:
    """Give an answer its end and return it, with what it cost as the books say.

    The process that wrote it knows best: its word also replaces a reaper's guess.
    """
    record = _settled(ending.usage_id)
    message = Message.objects.select_for_update().get(pk=message_id)
    for name in ENDING_FIELDS:
        setattr(message, name, getattr(ending, name))
    message.cursor += 1  # the end itself is an event, and so is what it took
    if record is not None:
        message.cursor += 1
        message.model_served = record.model_served
        message.input_tokens = record.usage.total_input
        message.output_tokens = record.usage.total_output
        message.cost_usd = record.cost_usd
    message.save()
    return message


def _settled(usage_id: UUID | None) -> UsageRecord | None:
    if usage_id is None:
        return None
    return UsageRecord.objects.filter(pk=usage_id, state=UsageState.SETTLED).first()


def reap() -> int:
    """End the answers whose process has gone silent, and return how many there were."""
    silent = Message.objects.running().filter(heartbeat_at__lt=timezone.now() - SILENCE)
    return sum(_interrupt(message) for message in silent.order_by("heartbeat_at")[:REAPED_AT_ONCE])


def _interrupt(message: Message) -> int:
    """End the answer with the text that its process left, unless it speaks again just now."""
    more, cursor = log.text_after(message.pk, message.cursor)
    text = message.text + more
    reaped = (
        Message.objects.running()
        .filter(pk=message.pk, heartbeat_at=message.heartbeat_at)
        .update(
            status=Status.INTERRUPTED,
            text=text,
            html=markdown.render(text),
            cursor=cursor + 1,
            error_code=INTERRUPTED_CODE,
            error_message=INTERRUPTED_MESSAGE,
        )
    )
    logger.warning("chat.generation_reaped", message=str(message.pk))
    return reaped


def _own(principal: Principal, conversation_id: UUID) -> Conversation:
    """Return a conversation of theirs, locked, or raise `NotFound`."""
    seen = Conversation.objects.visible_to(principal).select_for_update()
    conversation = seen.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound("There is no such conversation.")
    return conversation


def _check(question: Question) -> None:
    text, model = question.text, question.model
    if len(model) > MODEL_LENGTH or not model.isprintable():
        raise InvalidRequest("This is not the name of a model.", param="model")
    if not text.strip():
        raise InvalidRequest("Write a question first.", param="text")
    if len(text) > LONGEST_QUESTION:
        raise InvalidRequest(
            f"The question has {len(text):,} characters; {LONGEST_QUESTION:,} are allowed.",
            param="text",
        )
    if "\0" in text or not _is_unicode(text):
        raise InvalidRequest("The question has characters that are not text.", param="text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _title(text: str) -> str:
    """Return the first line, cut where a title ends."""
    line = " ".join(text.strip().splitlines()[0].split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


def _known_turn(conversation: Conversation, question: Question) -> Turn | None:
    """Return the turn that this very question has begun, if it was sent before."""
    asked = conversation.messages.filter(client_request_id=question.client_request_id).first()
    answer = asked.children.in_order().first() if asked else None
    if asked is None or answer is None:
        return None
    if asked.text != question.text.strip():
        raise InvalidRequest(
            "Another question was sent with this id. Send it again.", param="client_request_id"
        )
    return Turn(conversation=conversation.pk, question=asked.pk, answer=answer.pk, is_new=False)


def _add_turn(conversation: Conversation, question: Question) -> Turn:
    asked = Message.objects.create(
        conversation=conversation,
        parent_id=_parent(conversation, question),
        role=MessageRole.USER,
        text=question.text.strip(),
        client_request_id=question.client_request_id,
    )
    answer = Message.objects.create(
        conversation=conversation,
        parent=asked,
        role=MessageRole.ASSISTANT,
        status=Status.RUNNING,
        heartbeat_at=timezone.now(),
    )
    return Turn(conversation=conversation.pk, question=asked.pk, answer=answer.pk, is_new=True)


def _parent(conversation: Conversation, question: Question) -> UUID | None:
    """Return the answer that the question follows."""
    if question.parent is None:
        return conversation.active_leaf_id
    answers = conversation.messages.filter(role=MessageRole.ASSISTANT)
    if not answers.filter(pk=question.parent).exists():
        raise InvalidRequest("The message to follow is not of this conversation.", param="parent")
    return question.parent
