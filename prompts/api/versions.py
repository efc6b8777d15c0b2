"""Versions over REST: read by all, appended by staff who may."""

from typing import Any, get_args

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from core.api import Pages, Words
from core.errors import InvalidRequest
from prompts import services
from prompts.api.rights import check_staff, prompt_named
from prompts.content import PromptContent, Role, VariableType
from prompts.models import PromptVersion


class AnyJson(serializers.JSONField):
    """Any JSON, null as well: with `allow_null` the document would tell of null twice."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return (True, None) if data is None else super().validate_empty_values(data)


class MessageTemplateSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=get_args(Role))
    template = Words(trim_whitespace=False)


class VariableSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=get_args(VariableType), default="text")
    required = serializers.BooleanField(default=True)  # type: ignore[assignment]  # a field's name
    default = AnyJson(default=None)
    options = serializers.ListField(child=Words(), required=False, help_text="Of a choice.")
    may_be_empty = serializers.BooleanField(default=True, help_text="A text or list.")
    max_length = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        help_text="Characters of a text, items of a list.",
    )


class SettingsSerializer(serializers.Serializer[Any]):
    temperature = serializers.FloatField(required=False)
    max_tokens = serializers.IntegerField(required=False, min_value=1)
    model = serializers.CharField(required=False, help_text="Where the caller names none.")
    top_p = serializers.FloatField(required=False)
    stop = serializers.ListField(child=Words(trim_whitespace=False), required=False)
    seed = serializers.IntegerField(required=False)
    reasoning_effort = serializers.CharField(required=False)


class FunctionSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    description = serializers.CharField(required=False)
    parameters = serializers.DictField(required=False, help_text="A JSON schema.")
    strict = serializers.BooleanField(required=False)


class ToolSerializer(serializers.Serializer[Any]):
    """A function that the model may ask for, as OpenAI's API has it."""

    type = serializers.ChoiceField(choices=["function"], default="function")
    function = FunctionSerializer()


class OutputSchemaSerializer(serializers.Serializer[Any]):
    """The JSON that an answer must be."""

    name = serializers.CharField()
    schema = serializers.DictField(help_text="A JSON schema.")
    strict = serializers.BooleanField(default=True)


class VersionSerializer(serializers.ModelSerializer[PromptVersion]):
    messages = MessageTemplateSerializer(many=True)
    variables = VariableSerializer(many=True, required=False)
    settings = SettingsSerializer(required=False)
    tools = ToolSerializer(many=True, required=False)
    output_schema = OutputSchemaSerializer(required=False, allow_null=True)
    locales = serializers.DictField(
        child=MessageTemplateSerializer(many=True),
        required=False,
        help_text="Messages in other languages, by tag.",
    )
    author: Any = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = PromptVersion
        parts = ["messages", "variables", "settings", "tools", "output_schema", "locales"]
        fields = ["number", *parts, "default_locale", "note", "author", "created_at"]
        read_only_fields = ["number", "created_at"]


class NewestVersionFirst(Pages):
    ordering = ["-number"]


@extend_schema_view(post=extend_schema(responses={201: VersionSerializer}))
class VersionList(ListAPIView[PromptVersion]):
    """The versions of a prompt, newest first; staff who may append one."""

    queryset = PromptVersion.objects.none()
    serializer_class = VersionSerializer
    pagination_class = NewestVersionFirst

    def get_queryset(self) -> QuerySet[PromptVersion]:
        return (
            prompt_named(self.request, self.kwargs).versions.newest_first().select_related("author")
        )

    def post(self, request: Request, name: str) -> Response:
        """Append a version; no label points at it yet."""
        author = check_staff(request, "prompts.add_promptversion")
        prompt = prompt_named(request, self.kwargs)
        sent = VersionSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = dict(sent.validated_data)
        note = fields.pop("note", "")
        version = services.add_version(
            prompt=prompt, content=_content(fields), note=note, author=author
        )
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)


class VersionDetail(RetrieveAPIView[PromptVersion]):
    """One version of a prompt, which never changes."""

    queryset = PromptVersion.objects.none()
    serializer_class = VersionSerializer
    lookup_field = "number"

    def get_queryset(self) -> QuerySet[PromptVersion]:
        return prompt_named(self.request, self.kwargs).versions.select_related("author")


def _content(fields: dict[str, Any]) -> PromptContent:
    try:
        return msgspec.convert(fields, PromptContent)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The version is wrong: {error}.") from None
