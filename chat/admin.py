"""Conversations as staff see them: who, how much and at what cost, never what was said."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest

from billing.money import as_text
from chat.models import Conversation, Message
from core.admin import ReadOnly


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Conversations with counts and money; title and text are private."""

    list_display = ["id", "user", "organization", "model", "messages_sent", "cost", "updated_at"]
    list_filter = ["organization", "model", "updated_at"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__username"]
    date_hierarchy = "updated_at"
    ordering = ["-updated_at"]
    fields = ["id", "user", "organization", "model", "messages_sent", "cost"]
    readonly_fields = ["id", "messages_sent", "cost"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        counted: QuerySet[Conversation] = (
            super()
            .get_queryset(request)
            .annotate(message_count=Count("messages"), spent_usd=Sum("messages__cost_usd"))
        )
        return counted

    @admin.display(description="messages", ordering="message_count")
    def messages_sent(self, conversation: Any) -> int:
        return int(conversation.message_count)

    @admin.display(description="cost, USD", ordering="spent_usd")
    def cost(self, conversation: Any) -> str:
        spent: Decimal | None = conversation.spent_usd
        return "" if spent is None else as_text(spent)


@admin.register(Message)
class MessageAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Messages with how they ended and what they took; the text is private."""

    list_display = [
        "id",
        "person",
        "role",
        "status",
        "model_served",
        "tokens",
        "cost",
        "created_at",
    ]
    list_filter = ["role", "status", "model_served", "created_at"]
    list_select_related = ["conversation__user"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    fields = [
        *("id", "person", "role", "status", "error_code", "model_served"),
        *("prompt_name", "prompt_version", "usage_id", "tokens", "cost", "created_at"),
    ]
    readonly_fields = ["id", "person", "tokens", "cost", "created_at"]

    @admin.display(ordering="conversation__user__username")
    def person(self, message: Message) -> str:
        return str(message.conversation.user)

    @admin.display(description="tokens, in / out")
    def tokens(self, message: Message) -> str:
        if message.input_tokens is None:
            return ""
        return f"{message.input_tokens} / {message.output_tokens}"

    @admin.display(description="cost, USD", ordering="cost_usd")
    def cost(self, message: Message) -> str:
        return message.cost_text
