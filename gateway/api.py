"""What programs tell of answers, beside the calls themselves."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import principal_of
from llm.caching import wrong_hits
from llm.models import SemanticHit


class WrongHitSerializer(serializers.ModelSerializer[SemanticHit]):
    usage_id = serializers.UUIDField()

    class Meta:
        model = SemanticHit
        fields = ["usage_id", "prompt_name", "prompt_version", "similarity", "reported_at"]
        read_only_fields = ["prompt_name", "prompt_version", "similarity", "reported_at"]


class WrongHit(APIView):
    """`POST /api/cache/wrong-hit/`: the answer to a similar question was not an answer to mine."""

    @extend_schema(request=WrongHitSerializer, responses=WrongHitSerializer)
    def post(self, request: Request) -> Response:
        """Take the answer out of the cache and return what it was taken for."""
        sent = WrongHitSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        usage_id = sent.validated_data["usage_id"]
        hit = wrong_hits.report(usage_id=usage_id, principal=principal_of(request))
        return Response(WrongHitSerializer(hit).data)
