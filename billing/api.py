"""What a caller has used, for programs."""

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from accounts.api import principal_of
from billing.models import UsageRecord


class UsageRecordSerializer(serializers.ModelSerializer[UsageRecord]):
    class Meta:
        model = UsageRecord
        fields = [
            "id",
            "request_id",
            "attempt",
            "surface",
            "started_at",
            "prompt_name",
            "prompt_version",
            "provider",
            "model_asked",
            "model_served",
            "state",
            "outcome",
            "finish_reason",
            "error_class",
            "is_cache_hit",
            "input_tokens",
            "cached_input_tokens",
            "cache_write_tokens",
            "cache_write_1h_tokens",
            "output_tokens",
            "reasoning_tokens",
            "audio_input_tokens",
            "audio_output_tokens",
            "image_input_tokens",
            "image_output_tokens",
            "service_tier",
            "is_estimated",
            "cost_usd",
            "ttft_ms",
            "duration_ms",
        ]
        read_only_fields = fields


class NewestFirst(CursorPagination):
    ordering = ["-started_at", "-id"]
    page_size_query_param = "page_size"
    max_page_size = 500

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return where the page begins; DRF itself would look for a moment that is none."""
        cursor = super().decode_cursor(request)
        if (
            cursor is not None
            and cursor.position is not None
            and not _is_moment(str(cursor.position))
        ):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class UsageRecordList(generics.ListAPIView[UsageRecord]):
    """List the caller's own attempts, newest first."""

    queryset = UsageRecord.objects.none()
    serializer_class = UsageRecordSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[UsageRecord]:
        return UsageRecord.objects.visible_to(principal_of(self.request))


def _is_moment(text: str) -> bool:
    try:
        return parse_datetime(text) is not None
    except ValueError:  # it looks like one
        return False
