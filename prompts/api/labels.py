"""Labels over REST: read by all, moved by staff who may."""

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from prompts.api.rights import check_staff, person_of, prompt_named
from prompts.models import PromptLabel
from prompts.releases import services as releases


class LabelSerializer(serializers.ModelSerializer[PromptLabel]):
    version = serializers.IntegerField(source="version.number", min_value=1)

    class Meta:
        model = PromptLabel
        fields = ["name", "version", "moved_at"]
        read_only_fields = ["name", "moved_at"]


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
        label = (
            prompt_named(self.request, self.kwargs).labels.filter(name=self.kwargs["label"]).first()
        )
        if label is None:
            raise NotFound("The prompt has no such label.")
        return label

    def put(self, request: Request, name: str, label: str) -> Response:
        """Point the label at a version; calls use it within a second."""
        check_staff(request, "prompts.change_promptlabel")
        prompt = prompt_named(request, self.kwargs)
        sent = LabelSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        number = sent.validated_data["version"]["number"]
        releases.move_label(prompt=prompt, number=number, name=label, by=person_of(request))
        return Response(LabelSerializer(self.get_object()).data)
