"""Prompts over REST: listed, and rendered for whoever may call them."""

from typing import Any

import django_filters
import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import principal_of
from core.api import ByName, Words
from prompts import services
from prompts.api.labels import LabelSerializer
from prompts.api.versions import OutputSchemaSerializer, SettingsSerializer, ToolSerializer
from prompts.content import LONGEST_LOCALE
from prompts.models import PRODUCTION, Prompt


class PromptSerializer(serializers.ModelSerializer[Prompt]):
    labels = LabelSerializer(many=True, read_only=True)
    cache_mode = serializers.CharField(read_only=True, help_text="Empty: as for every call.")

    class Meta:
        model = Prompt
        fields = ["name", "description", "cache_mode", "created_at", "labels"]
        read_only_fields = fields


class RenderSerializer(serializers.Serializer[Any]):
    """What a prompt is rendered with."""

    label = serializers.CharField(  # type: ignore[assignment]  # a field's name
        default=PRODUCTION, max_length=50
    )
    version = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=2_147_483_647,
        help_text="A version by its number, whatever label it has.",
    )
    variables = serializers.DictField(default=dict)
    locale = Words(default="", allow_blank=True, max_length=LONGEST_LOCALE)


class RenderedMessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField()


class RenderedSerializer(serializers.Serializer[Any]):
    """The words for a call, and which version they are of."""

    name = serializers.CharField()
    version = serializers.IntegerField()
    messages = RenderedMessageSerializer(many=True)
    settings = SettingsSerializer()
    tools = ToolSerializer(many=True)
    output_schema = OutputSchemaSerializer(allow_null=True)
    locale = serializers.CharField()


class PromptFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", label="part of the name"
    )
    label = django_filters.CharFilter(field_name="labels__name", label="has this label")

    class Meta:
        model = Prompt
        fields = ["search", "label"]


class PromptViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Prompt]):
    """The prompts of the caller's organization, by name."""

    queryset = Prompt.objects.none()
    serializer_class = PromptSerializer
    pagination_class = ByName
    filterset_class = PromptFilter
    lookup_field = "name"
    lookup_value_regex = "[-a-zA-Z0-9_]+"

    def get_queryset(self) -> QuerySet[Prompt]:
        mine = Prompt.objects.visible_to(principal_of(self.request))
        return mine.prefetch_related("labels__version")

    @extend_schema(request=RenderSerializer, responses=RenderedSerializer)
    @action(detail=True, methods=["post"])
    def render(self, request: Request, name: str) -> Response:
        """Return the words of the version that carries the label, filled in."""
        sent = RenderSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        principal = principal_of(request)
        asked = dict(sent.validated_data)
        rendered = services.render(
            organization_id=principal.organization_id,
            name=name,
            number=asked.pop("version"),
            context={"user_name": principal.user_name} if principal.user_name else {},
            **asked,
        )
        return Response(
            {
                "name": rendered.name,
                "version": rendered.version,
                "messages": [
                    {"role": message.role, "content": message.content}
                    for message in rendered.messages
                ],
                "settings": msgspec.to_builtins(rendered.settings),
                "tools": msgspec.to_builtins(rendered.tools),
                "output_schema": msgspec.to_builtins(rendered.output_schema),
                "locale": rendered.locale,
            }
        )
