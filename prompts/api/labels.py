"""Labels over REST: read by all, moved and taken away by staff who may."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from core.api import ByName
from prompts.api.moves import MoveSerializer
from prompts.api.rights import check_staff, prompt_named
from prompts.models import LabelMove, MoveState, PromptLabel
from prompts.releases import services as releases
from prompts.releases.errors import LabelUnchanged


class LabelSerializer(serializers.ModelSerializer[PromptLabel]):
    """Where a label points."""

    version = serializers.IntegerField(source="version.number", min_value=1)
    moved_by: Any = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = PromptLabel
        fields = ["name", "version", "moved_at", "moved_by"]
        read_only_fields = ["name", "moved_at"]


class WhySerializer(serializers.Serializer[Any]):
    """Why a label moves."""

    note = serializers.CharField(default="", allow_blank=True, max_length=releases.LONGEST_NOTE)


class LabelMoveRequest(WhySerializer):
    """Where a label is to point, why, and from when on."""

    version = serializers.IntegerField(min_value=1, max_value=2_147_483_647)
    due_at = serializers.DateTimeField(
        default=None, allow_null=True, help_text="In the future. Without it: at once."
    )


LABEL = OpenApiParameter(
    "label", {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,49}$"}, OpenApiParameter.PATH
)


class LabelList(ListAPIView[PromptLabel]):
    """The labels of a prompt, by name."""

    queryset = PromptLabel.objects.none()
    serializer_class = LabelSerializer
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[PromptLabel]:
        labels = prompt_named(self.request, self.kwargs).labels
        return labels.select_related("version", "moved_by")


@extend_schema(parameters=[LABEL])
@extend_schema_view(
    put=extend_schema(
        request=LabelMoveRequest,
        responses={200: LabelSerializer, 201: LabelSerializer, 202: MoveSerializer},
    ),
    delete=extend_schema(responses={204: None}),
)
class LabelDetail(RetrieveAPIView[PromptLabel]):
    """Where a label points; staff who may move it or take it away."""

    queryset = PromptLabel.objects.none()
    serializer_class = LabelSerializer

    def get_object(self) -> PromptLabel:
        labels = prompt_named(self.request, self.kwargs).labels.filter(name=self.kwargs["label"])
        label = labels.select_related("version", "moved_by").first()
        if label is None:
            raise NotFound("The prompt has no such label.")
        return label

    def put(self, request: Request, name: str, label: str) -> Response:
        """Point the label at a version; calls use it within a second.

        202 answers with the move where it waits for a second person or for its time.
        """
        person = check_staff(request, "prompts.change_promptlabel")
        prompt = prompt_named(request, self.kwargs)
        sent = LabelMoveRequest(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        try:
            move = releases.release(
                prompt=prompt,
                number=asked["version"],
                name=label,
                by=person,
                note=asked["note"],
                due_at=asked["due_at"],
            )
        except LabelUnchanged:  # as whoever sends the same again wants it
            return Response(LabelSerializer(self.get_object()).data)
        return self._answer(move)

    def delete(self, request: Request, name: str, label: str) -> Response:
        """Take the label away; production stays."""
        person = check_staff(request, "prompts.delete_promptlabel")
        prompt = prompt_named(request, self.kwargs)
        releases.delete_label(prompt=prompt, name=label, by=person)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _answer(self, move: LabelMove) -> Response:
        if move.state != MoveState.DONE:
            return Response(MoveSerializer(move).data, status=status.HTTP_202_ACCEPTED)
        is_new = move.previous_version is None
        return Response(
            LabelSerializer(self.get_object()).data,
            status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK,
        )


@extend_schema(parameters=[LABEL])
@extend_schema_view(
    post=extend_schema(request=WhySerializer, responses={200: MoveSerializer, 202: MoveSerializer})
)
class LabelRollback(GenericAPIView[PromptLabel]):
    """A label goes back to where it was before its last move."""

    queryset = PromptLabel.objects.none()
    serializer_class = WhySerializer

    def post(self, request: Request, name: str, label: str) -> Response:
        """Roll the label back; 202 where that waits for a second person."""
        person = check_staff(request, "prompts.change_promptlabel")
        prompt = prompt_named(request, self.kwargs)
        sent = WhySerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        move = releases.rollback(
            prompt=prompt, name=label, by=person, note=sent.validated_data["note"]
        )
        is_done = move.state == MoveState.DONE
        return Response(
            MoveSerializer(move).data,
            status=status.HTTP_200_OK if is_done else status.HTTP_202_ACCEPTED,
        )
