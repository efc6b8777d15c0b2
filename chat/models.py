"""What people talk about: conversations, and their messages as a tree."""

from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q

from accounts.models import Organization, User
from accounts.principal import Principal
from billing.money import UsdField, as_text
from core.ids import new_id

TITLE_LENGTH = 60
MODEL_LENGTH = 200


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return what the person may see: their own, in the organization they act for."""
        return self.filter(organization_id=principal.organization_id, user_id=principal.user_id)

    def newest_first(self) -> Self:
        return self.order_by("-updated_at")


class Conversation(models.Model):
    """A person's exchange with a model; private to that person."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="conversations")
    user = models.ForeignKey(User, models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=TITLE_LENGTH)
    model = models.CharField(max_length=MODEL_LENGTH, help_text="The name that is asked for.")
    # The end of the branch that is shown.
    active_leaf = models.ForeignKey(
        "Message", models.SET_NULL, null=True, editable=False, related_name="+"
    )
    # The same first question, sent twice, is one conversation.
    client_request_id = models.UUIDField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at"]
        indexes = [
            models.Index(fields=["user", "organization", "-updated_at"], name="conversation_list")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "client_request_id"], name="conversation_started_once"
            )
        ]

    def __str__(self) -> str:
        return f"Conversation {self.pk}"  # its title is content, and content is private

    def branch(self) -> "list[Message]":
        """Return the messages from the first question to the active leaf."""
        messages = {message.pk: message for message in self.messages.in_order()}
        return _path(messages, self.active_leaf_id)


def _path(messages: "dict[UUID, Message]", leaf: UUID | None) -> "list[Message]":
    path = []
    while leaf is not None:
        path.append(messages[leaf])
        leaf = messages[leaf].parent_id
    return path[::-1]


class MessageRole(models.TextChoices):
    USER = "user", "User"
    ASSISTANT = "assistant", "Assistant"


class Status(models.TextChoices):
    """A generation is running, or has one of five honest ends."""

    RUNNING = "running", "Running"
    COMPLETE = "complete", "Complete"
    STOPPED = "stopped", "Stopped"  # by the person
    LIMITED = "limited", "Limited"  # by a budget, a rate or the longest length
    FAILED = "failed", "Failed"
    INTERRUPTED = "interrupted", "Interrupted"  # its process went away


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return what the person may see: the messages of their own conversations."""
        return self.filter(
            conversation__organization_id=principal.organization_id,
            conversation__user_id=principal.user_id,
        )

    def running(self) -> Self:
        return self.filter(status=Status.RUNNING)

    def in_order(self) -> Self:
        return self.order_by("created_at", "pk")


class Message(models.Model):
    """A question, or the answer that a generation writes; its parent is what it follows."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    role = models.CharField(max_length=10, choices=MessageRole)
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Of a question: the same one, sent twice, is one message.
    client_request_id = models.UUIDField(null=True, editable=False)

    # The rest is of an answer.
    status = models.CharField(max_length=12, choices=Status, default=Status.COMPLETE)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)  # safe to show
    cursor = models.PositiveIntegerField(default=0)  # the log's position that `text` is as of
    finished = models.PositiveIntegerField(default=0)  # characters of `text` in finished blocks
    html = models.TextField(blank=True)  # of the whole text, when the answer has ended
    heartbeat_at = models.DateTimeField(null=True)
    stop_requested_at = models.DateTimeField(null=True)
    model_served = models.CharField(max_length=200, blank=True)
    prompt_name = models.CharField(max_length=100, blank=True)
    prompt_version = models.PositiveIntegerField(null=True)
    usage_id = models.UUIDField("usage record", null=True)  # a plain value: books outlive chats
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost_usd = UsdField("cost, USD", null=True)  # None: not known yet, or unpriced

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]
        indexes = [
            models.Index(
                fields=["heartbeat_at"], condition=Q(status="running"), name="message_running"
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "client_request_id"], name="message_sent_once"
            ),
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(status="running"),
                name="message_one_running",
            ),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(role="assistant", heartbeat_at__isnull=False),
                name="message_running_has_heartbeat",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} message {self.pk}"

    @property
    def is_running(self) -> bool:
        return self.status == Status.RUNNING

    @property
    def cost_text(self) -> str:
        """What the answer cost, for people; nothing where it is not known or not priced."""
        return "" if self.cost_usd is None else as_text(self.cost_usd)
