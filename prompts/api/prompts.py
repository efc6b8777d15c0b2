"""Prompts over REST: read and rendered by all, written by staff who may."""

from typing import Any

import django_filters
import msgspec
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import principal_of
from accounts.models import Scope, User
from accounts.principal import Principal
from core.api import ByName, Pages
from core.errors import InvalidRequest, PermissionDenied
from prompts import services
from prompts.content import PromptContent
from prompts.models import PRODUCTION, Prompt, PromptLabel, PromptVersion


class LabelSerializer(serializers.ModelSerializer[PromptLabel]):
    version = serializers.IntegerField(source="version.number", min_value=1)

    class Meta:
        model = PromptLabel
        fields = ["name", "version", "moved_at"]
        read_only_fields = ["name", "moved_at"]


class PromptSerializer(serializers.ModelSerializer[Prompt]):
    labels = LabelSerializer(many=True, read_only=True)
    cache_mode = serializers.CharField(read_only=True, help_text="Empty: as for every call.")

    class Meta:
        model = Prompt
        fields = ["name", "description", "cache_mode", "created_at", "labels"]
        read_only_fields = fields


class Words(serializers.CharField):
    """A text; a number is none."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class AnyJson(serializers.JSONField):
    """Any JSON, null as well: with `allow_null` the document would tell of null twice."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return (True, None) if data is None else super().validate_empty_values(data)


class MessageTemplateSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=["system", "developer", "user", "assistant"])
    template = Words(trim_whitespace=False)


class VariableSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(
        choices=["text", "number", "boolean", "list", "json"], default="text"
    )
    required = serializers.BooleanField(default=True)  # type: ignore[assignment]  # a field's name
    default = AnyJson(default=None)


class SettingsSerializer(serializers.Serializer[Any]):
    temperature = serializers.FloatField(required=False)
    max_tokens = serializers.IntegerField(required=False, min_value=1)


class VersionSerializer(serializers.ModelSerializer[PromptVersion]):
    messages = MessageTemplateSerializer(many=True)
    variables = VariableSerializer(many=True, required=False)
    settings = SettingsSerializer(required=False)
    author: Any = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = PromptVersion
        fields = ["number", "messages", "variables", "settings", "note", "author", "created_at"]
        read_only_fields = ["number", "created_at"]


class RenderSerializer(serializers.Serializer[Any]):
    """What a prompt is rendered with."""

    label = serializers.CharField(  # type: ignore[assignment]  # a field's name
        default=PRODUCTION, max_length=50
    )
    variables = serializers.DictField(default=dict)


class RenderedMessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField()


class RenderedSerializer(serializers.Serializer[Any]):
    """The words for a call, and which version they are of."""

    name = serializers.CharField()
    version = serializers.IntegerField()
    messages = RenderedMessageSerializer(many=True)
    settings = SettingsSerializer()


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
        rendered = services.render(
            organization_id=principal_of(request).organization_id,
            name=name,
            label=sent.validated_data["label"],
            variables=sent.validated_data["variables"],
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
            }
        )


class NewestVersionFirst(Pages):
    ordering = ["-number"]


@extend_schema_view(post=extend_schema(responses={201: VersionSerializer}))
class VersionList(ListAPIView[PromptVersion]):
    """The versions of a prompt, newest first; staff who may append one."""

    queryset = PromptVersion.objects.none()
    serializer_class = VersionSerializer
    pagination_class = NewestVersionFirst

    def get_queryset(self) -> QuerySet[PromptVersion]:
        return _prompt(self.request, self.kwargs).versions.newest_first().select_related("author")

    def post(self, request: Request, name: str) -> Response:
        """Append a version; no label points at it yet."""
        _check_staff(request, "prompts.add_promptversion")
        prompt = _prompt(request, self.kwargs)
        sent = VersionSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = dict(sent.validated_data)
        note = fields.pop("note", "")
        version = services.add_version(
            prompt=prompt, content=_content(fields), note=note, author=_person(request)
        )
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)


class VersionDetail(RetrieveAPIView[PromptVersion]):
    """One version of a prompt, which never changes."""

    queryset = PromptVersion.objects.none()
    serializer_class = VersionSerializer
    lookup_field = "number"

    def get_queryset(self) -> QuerySet[PromptVersion]:
        return _prompt(self.request, self.kwargs).versions.select_related("author")


LABEL = OpenApiParameter(
    "label", {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,49}$"}, OpenApiParameter.PATH
)


@extend_schema(parameters=[LABEL])
@extend_schema_view(put=extend_schema(request=LabelSerializer, responses=LabelSerializer))
class LabelDetail(RetrieveAPIView[PromptLabel]):
    """Where a label points; staff who may move it."""

    queryset = PromptLabel.objects.none()
    serializer_class = LabelSerializer

    def get_object(self) -> PromptLabel:
        label = _prompt(self.request, self.kwargs).labels.filter(name=self.kwargs["label"]).first()
        if label is None:
            raise NotFound("The prompt has no such label.")
        return label

    def put(self, request: Request, name: str, label: str) -> Response:
        """Point the label at a version; calls use it within a second."""
        _check_staff(request, "prompts.change_promptlabel")
        prompt = _prompt(request, self.kwargs)
        sent = LabelSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        number = sent.validated_data["version"]["number"]
        moved = services.move_label(
            prompt=prompt, number=number, name=label, moved_by=_person(request)
        )
        return Response(LabelSerializer(moved).data)


def _prompt(request: Request, named: dict[str, Any]) -> Prompt:
    """Return the prompt that an address names."""
    return get_object_or_404(Prompt.objects.visible_to(principal_of(request)), name=named["name"])


def _content(fields: dict[str, Any]) -> PromptContent:
    try:
        return msgspec.convert(fields, PromptContent)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The version is wrong: {error}.") from None


def _check_staff(request: Request, permission: str) -> None:
    """Raise `PermissionDenied` unless the caller could do the same in the admin.

    A key writes only where it names the scope `data`: one without scopes is made for calls.
    """
    person = request.user
    if not (isinstance(person, User) and person.is_staff and person.has_perm(permission)):
        raise PermissionDenied(f"This needs the permission `{permission}`, which staff may have.")
    if isinstance(request.auth, Principal) and Scope.DATA not in request.auth.scopes:
        raise PermissionDenied(f"To write with a key, it needs the scope `{Scope.DATA}`.")


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None
