"""The OpenAPI document of all that programs may call, and the page that shows it."""

from functools import lru_cache
from typing import Any

from django.views.generic import TemplateView
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Schema(APIView):
    """OpenAPI 3.1, for whoever comes: it says nothing of anybody."""

    permission_classes = [AllowAny]
    renderer_classes = [JSONRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(document())


class Docs(TemplateView):
    template_name = "docs.html"


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Return the document; it changes with the code only."""
    generator: Any = SchemaGenerator  # drf-spectacular has types in part only
    made: dict[str, Any] = generator().get_schema(request=None, public=True)
    return made
