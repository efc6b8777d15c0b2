"""A person's conversations over REST: read, renamed and deleted. They are written in the chat."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import mixins, serializers
from rest_framework.generics import ListAPIView
from rest_framework.viewsets import GenericViewSet

from accounts.api import KeysNameTheirScope, principal_of
from chat import services
from chat.models import TITLE_LENGTH, Conversation, Message
from core.api import Pages, Words


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    title = Words(max_length=TITLE_LENGTH)

    class Meta:
        model = Conversation
        fields = ["id", "title", "model", "active_leaf", "created_at", "updated_at"]
        read_only_fields = ["id", "model", "active_leaf", "created_at", "updated_at"]


class MessageSerializer(serializers.ModelSerializer[Message]):
    class Meta:
        model = Message
        fields = [
            *("id", "parent", "role", "text", "status", "error_code", "error_message"),
            *("model_served", "prompt_name", "prompt_version", "input_tokens", "output_tokens"),
            *("cost_usd", "usage_id", "created_at"),
        ]
        read_only_fields = fields


class ConversationFilter(django_filters.FilterSet):
    updated_after = django_filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gt")
    updated_before = django_filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="lt")

    class Meta:
        model = Conversation
        fields = ["updated_after", "updated_before", "model"]


class LastChangedFirst(Pages):
    ordering = ["-updated_at", "-pk"]


class InOrder(Pages):
    ordering = ["created_at", "pk"]


class ConversationViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Conversation],
):
    """The caller's own conversations, the last changed first.

    PATCH gives one another title. DELETE removes it with all of its messages, for good; the usage
    records of its answers stay, because they are money. A key that writes must name the scope data.
    """

    queryset = Conversation.objects.none()
    serializer_class = ConversationSerializer
    permission_classes = [*GenericViewSet.permission_classes, KeysNameTheirScope]
    http_method_names = ["get", "patch", "delete", "head", "options"]
    pagination_class = LastChangedFirst
    filterset_class = ConversationFilter

    def get_queryset(self) -> QuerySet[Conversation]:
        return Conversation.objects.visible_to(principal_of(self.request))

    def perform_update(self, serializer: Any) -> None:
        if title := serializer.validated_data.get("title"):
            serializer.instance = services.rename(
                principal=principal_of(self.request),
                conversation_id=serializer.instance.pk,
                title=title,
            )

    def perform_destroy(self, instance: Conversation) -> None:
        services.delete(principal=principal_of(self.request), conversation_id=instance.pk)


class MessageList(ListAPIView[Message]):
    """The messages of a conversation of one's own, all branches, in the order they were written."""

    queryset = Message.objects.none()
    serializer_class = MessageSerializer
    pagination_class = InOrder

    def get_queryset(self) -> QuerySet[Message]:
        mine = Conversation.objects.visible_to(principal_of(self.request))
        conversation: Any = get_object_or_404(mine, pk=self.kwargs["pk"])
        return Message.objects.filter(conversation=conversation)
