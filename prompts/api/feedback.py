"""What callers say of answers, over REST: also for programs whose keys are made for calls."""

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import ApiKeyAuthentication, principal_of
from accounts.models import Scope
from core.api import NewestFirst
from prompts import feedback
from prompts.models import Feedback, FeedbackKind


class KeyForCalls(ApiKeyAuthentication):
    """Lets in keys made for calls, too: whoever may ask may say what came of it."""

    scopes = (Scope.CHAT, Scope.DATA)


class FeedbackSerializer(serializers.ModelSerializer[Feedback]):
    request_id = serializers.CharField(
        max_length=100, help_text="What the answer's `X-Request-ID` said."
    )
    value = serializers.IntegerField(
        min_value=-1, max_value=1, help_text="Thumb: 1 or -1. Check: 1 or 0. Asked for again: 1."
    )

    class Meta:
        model = Feedback
        fields = [
            *("id", "request_id", "kind", "value", "reason", "prompt_name", "prompt_version"),
            *("experiment", "arm", "created_at", "changed_at"),
        ]
        read_only_fields = [
            *("prompt_name", "prompt_version", "experiment", "arm", "created_at", "changed_at")
        ]


class FeedbackFilter(django_filters.FilterSet):
    class Meta:
        model = Feedback
        fields = ["kind", "request_id", "prompt_name", "experiment"]


class FeedbackViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, GenericViewSet[Feedback]):
    """What the caller has said of answers, newest first."""

    queryset = Feedback.objects.none()
    serializer_class = FeedbackSerializer
    authentication_classes = [KeyForCalls, SessionAuthentication]
    permission_classes = [IsAuthenticated]
    pagination_class = NewestFirst
    filterset_class = FeedbackFilter

    def get_queryset(self) -> QuerySet[Feedback]:
        return Feedback.objects.visible_to(principal_of(self.request))

    @extend_schema(request=FeedbackSerializer, responses={201: FeedbackSerializer})
    def create(self, request: Request) -> Response:
        """Judge one of your requests; the next judgement of its kind replaces it."""
        sent = FeedbackSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = dict(sent.validated_data)
        kept = feedback.record(
            principal=principal_of(request), kind=FeedbackKind(fields.pop("kind")), **fields
        )
        return Response(FeedbackSerializer(kept).data, status=status.HTTP_201_CREATED)
