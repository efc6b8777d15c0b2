"""Prompts as files over REST: exported for all who may read them, imported by staff who may."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import principal_of
from accounts.models import Organization
from core.api import Words
from core.errors import InvalidRequest
from prompts.api.rights import check_staff, prompt_named
from prompts.files.exporting import export_document
from prompts.files.importing import FROM_FILES, NO_LABELS, Outcome, import_bundle, plan_import
from prompts.files.reading import MAX_FILES, read_files
from prompts.files.telling import summary, version_diff
from prompts.releases.runs import Effort

YAML = "application/yaml"
NEEDED = ("prompts.add_prompt", "prompts.add_promptversion")
TO_MOVE = "prompts.change_promptlabel"


class AnyAccepted(DefaultContentNegotiation):
    """Asks nobody whether they accept YAML: there is nothing else. Failures are JSON."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        """Return the one for failures."""
        return renderers[0], renderers[0].media_type


class ImportSerializer(serializers.Serializer[Any]):
    """Files to import, and how."""

    files = serializers.DictField(
        child=Words(trim_whitespace=False),
        help_text="The text of each file by its path, such as "
        "`greeting/versions/production.yaml`, `greeting.yaml`, or `langfuse.json`.",
    )
    labels = serializers.RegexField(
        r"^[a-z][a-z0-9_-]{0,49}\Z",
        default=FROM_FILES,
        help_text=f"`{FROM_FILES}`: move them as the files have them; `{NO_LABELS}`: move none; "
        "a label: move that alone, to what the files call production.",
    )
    dry_run = serializers.BooleanField(default=False, help_text="Show it, and write nothing.")
    expected = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=64,
        help_text="The fingerprint of a dry run: where it would do something else now, 409.",
    )

    def validate_files(self, files: dict[str, str]) -> dict[str, str]:
        """Refuse more than is read."""
        if len(files) > MAX_FILES:
            raise serializers.ValidationError(f"There are more than {MAX_FILES:,} files.")
        return files


class VersionChangeSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    is_new = serializers.BooleanField()
    file = serializers.CharField()
    note = serializers.CharField()
    diff = serializers.CharField(help_text="Of a new version: what changes, line by line.")


class LabelChangeSerializer(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]  # a field's name
    version = serializers.IntegerField(source="number")
    before = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=["moved", "proposed", "waits", "unchanged"])


class PromptChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    is_new = serializers.BooleanField()
    changes_something = serializers.BooleanField()
    description = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        allow_null=True,
        help_text="Before and after, where it changes.",
    )
    versions = serializers.SerializerMethodField()
    labels = LabelChangeSerializer(many=True)

    @extend_schema(responses=VersionChangeSerializer(many=True))
    def get_versions(self, prompt: Any) -> list[dict[str, Any]]:
        """Return each version with its diff."""
        effort = Effort()
        return [
            {
                "number": one.number,
                "is_new": one.is_new,
                "file": one.file,
                "note": one.note,
                "diff": version_diff(one, effort) if one.is_new else "",
            }
            for one in prompt.versions
        ]


class NoteSerializer(serializers.Serializer[Any]):
    file = serializers.CharField()
    line = serializers.IntegerField(allow_null=True)
    place = serializers.CharField()
    text = serializers.CharField()


class OutcomeSerializer(serializers.Serializer[Any]):
    """What an import has done, or would do."""

    dry_run = serializers.BooleanField()
    summary = serializers.CharField()
    fingerprint = serializers.CharField()
    prompts = PromptChangeSerializer(many=True)
    notes = NoteSerializer(many=True, help_text="What could not be taken over, or is worth a look.")


class PromptExport(APIView):
    """A prompt as one readable file."""

    renderer_classes = [JSONRenderer]
    content_negotiation_class = AnyAccepted

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "versions",
                {"type": "string", "enum": ["labelled", "all"], "default": "labelled"},
                description="Those that labels name, or all.",
            )
        ],
        responses={(200, YAML): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, name: str) -> HttpResponse:
        """Return the prompt as YAML, the same as long as the prompt is."""
        wanted = request.query_params.get("versions") or "labelled"
        if wanted not in ("labelled", "all"):
            raise InvalidRequest("`versions` is `labelled` or `all`.", param="versions")
        prompt = prompt_named(request, self.kwargs)
        text = export_document(prompt, all_versions=wanted == "all")
        return HttpResponse(
            text,
            content_type=f"{YAML}; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.yaml"'},
        )


class PromptImport(APIView):
    """Prompts from files: all that they say, or nothing."""

    @extend_schema(request=ImportSerializer, responses=OutcomeSerializer)
    def post(self, request: Request) -> Response:
        """Add versions that files have and Parley has not, and move labels."""
        person = check_staff(request, NEEDED[0])
        check_staff(request, NEEDED[1])
        sent = ImportSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        if asked["labels"] != NO_LABELS:
            check_staff(request, TO_MOVE)
        how: dict[str, Any] = {
            "organization": Organization.objects.get(pk=principal_of(request).organization_id),
            "bundle": read_files(_encoded(asked["files"])),
            "by": person,
            "labels": asked["labels"],
        }
        is_dry = asked["dry_run"]
        outcome = plan_import(**how) if is_dry else import_bundle(**how, expected=asked["expected"])
        return Response(OutcomeSerializer(_told(outcome, is_dry)).data)


def _encoded(files: dict[str, str]) -> dict[str, bytes]:
    """Return the files as bytes; half of a character, which JSON can say, is refused there."""
    return {path: text.encode(errors="surrogatepass") for path, text in files.items()}


def _told(outcome: Outcome, is_dry: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry,
        "summary": summary(outcome),
        "fingerprint": outcome.fingerprint,
        "prompts": outcome.prompts,
        "notes": outcome.notes,
    }
