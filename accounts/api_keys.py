"""A person's API keys over REST: listed, made, changed, given a new secret, revoked."""

from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts import keys
from accounts.api import PeopleOnly, principal_of
from accounts.models import ApiKey, Organization, Scope, User, is_manager
from core.api import BooleanFilter, NewestFirst
from core.errors import PermissionDenied


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key without its secret."""

    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        required=False,
        help_text=ApiKey._meta.get_field("scopes").help_text,
    )
    user: Any = serializers.SlugRelatedField(slug_field="username", read_only=True, allow_null=True)

    class Meta:
        model = ApiKey
        fields = [
            *("id", "name", "prefix", "user", "status", "scopes", "allowed_models"),
            *("allowed_addresses", "cache_mode", "on_disconnect"),
            *("created_at", "expires_at", "last_used_at", "revoked_at"),
        ]
        read_only_fields = ["id", "prefix", "created_at", "last_used_at", "revoked_at"]


class NewKeySerializer(KeySerializer):
    """What is said of a key that is to be made."""

    is_for_organization = serializers.BooleanField(
        default=False,
        write_only=True,
        help_text="It belongs to the organization and to no person; for those who manage it.",
    )

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "is_for_organization"]


class MadeKeySerializer(KeySerializer):
    """A key with its secret, which is shown once."""

    secret = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "secret"]


class RotationSerializer(serializers.Serializer[Any]):
    overlap_hours = serializers.IntegerField(
        min_value=0, max_value=168, default=0, help_text="How long the old secret still works."
    )


class KeyFilter(django_filters.FilterSet):
    is_revoked = BooleanFilter(
        field_name="revoked_at", lookup_expr="isnull", exclude=True, label="revoked"
    )
    name = django_filters.CharFilter(lookup_expr="icontains", label="part of the name")

    class Meta:
        model = ApiKey
        fields = ["is_revoked", "name"]


@extend_schema(auth=[{"cookieAuth": []}])  # type: ignore[list-item]  # as the document has it
class KeyViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    GenericViewSet[ApiKey],
):
    """One's own keys; for who manages the organization, all of its keys. For people, not keys."""

    queryset = ApiKey.objects.none()
    serializer_class = KeySerializer
    permission_classes = [PeopleOnly]
    pagination_class = NewestFirst
    filterset_class = KeyFilter
    http_method_names = ["get", "post", "patch", "head", "options"]

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.visible_to(principal_of(self.request)).select_related("user")

    @extend_schema(request=NewKeySerializer, responses={201: MadeKeySerializer})
    def create(self, request: Request) -> Response:
        """Make a key; the answer is the only one that has its secret."""
        sent = NewKeySerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        terms = dict(sent.validated_data)
        key, secret = keys.create(
            organization=Organization.objects.get(pk=principal_of(request).organization_id),
            user=_owner(request, is_for_organization=terms.pop("is_for_organization")),
            **terms,
        )
        return _with_secret(key, secret, status.HTTP_201_CREATED)

    def perform_update(self, serializer: Any) -> None:
        serializer.instance = keys.change(serializer.instance, **serializer.validated_data)

    @extend_schema(request=None, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """End the key's life; every process refuses it within a second."""
        key = self.get_object()
        keys.revoke(key)
        key.refresh_from_db()
        return Response(KeySerializer(key).data)

    @extend_schema(request=RotationSerializer, responses=MadeKeySerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Give the key a new secret; the answer is the only one that has it."""
        sent = RotationSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        key = self.get_object()
        if not ApiKey.objects.replaceable_by(principal_of(request)).filter(pk=key.pk).exists():
            raise PermissionDenied("Only its person gets a new secret of this key; revoke it.")
        overlap = timedelta(hours=sent.validated_data["overlap_hours"])
        return _with_secret(key, keys.rotate(key, overlap=overlap), status.HTTP_200_OK)


def _owner(request: Request, *, is_for_organization: bool) -> User | None:
    if not is_for_organization:
        return request.user if isinstance(request.user, User) else None
    if not is_manager(principal_of(request)):
        raise PermissionDenied("Only who manages the organization makes keys of its own.")
    return None


def _with_secret(key: ApiKey, secret: str, code: int) -> Response:
    """Return the key with its secret, for no cache on the way to keep."""
    body = {**KeySerializer(key).data, "secret": secret}
    return Response(body, status=code, headers={"Cache-Control": "no-store"})
