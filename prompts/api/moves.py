"""The moves of labels over REST: their history, read by all; staff who may decide the open ones."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from core.api import NewestFirst
from prompts.api.rights import check_staff, prompt_named
from prompts.models import LabelMove, MoveState
from prompts.releases import services as releases
from prompts.releases.history import moves_of


class MoveSerializer(serializers.ModelSerializer[LabelMove]):
    """One move of a label: who, when, from where, to where, why, and what became of it."""

    version = serializers.IntegerField(source="version.number")
    previous_version: Any = serializers.IntegerField(
        source="previous_version.number",
        default=None,
        allow_null=True,
        help_text="Where the label pointed before; of an open move it is not known yet.",
    )
    proposed_by: Any = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )
    decided_by: Any = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = LabelMove
        fields = [
            *("id", "label", "version", "previous_version", "state", "note", "due_at"),
            *("created_at", "proposed_by", "decided_at", "decided_by", "ended_at", "failure"),
        ]
        read_only_fields = fields


class MoveFilter(django_filters.FilterSet):
    label = django_filters.CharFilter(label="of this label")
    state = django_filters.ChoiceFilter(choices=MoveState.choices)

    class Meta:
        model = LabelMove
        fields = ["label", "state"]


class MoveViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[LabelMove]):
    """Every move of the labels of a prompt, newest first."""

    queryset = LabelMove.objects.none()
    serializer_class = MoveSerializer
    pagination_class = NewestFirst
    filterset_class = MoveFilter

    def get_queryset(self) -> QuerySet[LabelMove]:
        return moves_of(prompt_named(self.request, self.kwargs))

    @extend_schema(request=None, responses=MoveSerializer)
    def confirm(self, request: Request, name: str, pk: int) -> Response:
        """Let a move happen that somebody else has proposed, now or when it is due."""
        person = check_staff(request, "prompts.change_labelmove")
        move = releases.confirm(self.get_object(), by=person)
        return Response(MoveSerializer(move).data)

    @extend_schema(request=None, responses=MoveSerializer)
    def refuse(self, request: Request, name: str, pk: int) -> Response:
        """End an open move of somebody else."""
        person = check_staff(request, "prompts.change_labelmove")
        move = releases.refuse(self.get_object(), by=person)
        return Response(MoveSerializer(move).data)

    @extend_schema(request=None, responses=MoveSerializer)
    def withdraw(self, request: Request, name: str, pk: int) -> Response:
        """End an open move of one's own."""
        person = check_staff(request, "prompts.change_promptlabel")
        move = releases.withdraw(self.get_object(), by=person)
        return Response(MoveSerializer(move).data)
