"""What a caller has used, for programs."""

import django_filters
from django.db.models import QuerySet
from rest_framework import generics, serializers

from accounts.api import principal_of
from billing.models import UsageRecord
from core.api import Pages


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
            "experiment",
            "arm",
            "unit",
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


class UsageRecordFilter(django_filters.FilterSet):
    class Meta:
        model = UsageRecord
        fields = ["experiment"]


class NewestFirst(Pages):
    ordering = ["-started_at", "-id"]


class UsageRecordList(generics.ListAPIView[UsageRecord]):
    """List the caller's own attempts, newest first."""

    queryset = UsageRecord.objects.none()
    serializer_class = UsageRecordSerializer
    pagination_class = NewestFirst
    filterset_class = UsageRecordFilter

    def get_queryset(self) -> QuerySet[UsageRecord]:
        return UsageRecord.objects.visible_to(principal_of(self.request))
