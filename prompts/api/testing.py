"""Datasets, cases and runs over REST: read by all, written and started by staff who may."""

from typing import Any

import django_filters
from django.db.models import Count, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import principal_of
from core.api import BooleanFilter, ByName, NewestFirst, Pages
from prompts.api.rights import check_staff
from prompts.models import Case, CaseResult, Dataset, DatasetRun, Prompt
from prompts.testing import comparison, datasets, runs
from prompts.testing.cases import LONGEST_NAME, read_case
from prompts.testing.checks import MOST_CHECKS
from prompts.testing.estimate import estimate


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    prompt = serializers.SlugField(source="prompt.name", help_text="The prompt's name.")
    case_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Dataset
        fields = [
            *("id", "prompt", "name", "description", "guards_releases", "case_count"),
            "created_at",
        ]
        read_only_fields = ["created_at"]
        validators: list[Any] = []  # a name that is taken gives the dataset that has it


class SaidSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=["user", "assistant"])
    content = serializers.CharField(allow_blank=True, trim_whitespace=False)


class CaseSerializer(serializers.ModelSerializer[Case]):
    """Values for the prompt, what is said after it, and what must be true of the answer."""

    name = serializers.CharField(max_length=LONGEST_NAME, required=False)
    variables = serializers.DictField(required=False)
    messages = SaidSerializer(many=True, required=False)
    checks = serializers.ListField(
        child=serializers.DictField(),
        max_length=MOST_CHECKS,
        required=False,
        help_text="Each has a `kind`: "
        "contains, regex, equals, json_schema, number, similar or judge.",
    )

    class Meta:
        model = Case
        fields = ["id", "name", "locale", "variables", "messages", "checks"]


class ColumnSerializer(serializers.Serializer[Any]):
    """One version with one model, over all cases."""

    version = serializers.IntegerField()
    model = serializers.CharField()
    answered = serializers.IntegerField()
    counted = serializers.IntegerField(help_text="Results with checks, or an error.")
    passed = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # a field's name
    rate = serializers.DecimalField(max_digits=7, decimal_places=6, allow_null=True)
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=12, allow_null=True)
    ttft_ms = serializers.FloatField(allow_null=True)


class RunSerializer(serializers.ModelSerializer[DatasetRun]):
    """A run of versions and models over a dataset."""

    dataset = serializers.IntegerField(source="dataset_id", min_value=1, max_value=2**63 - 1)
    prompt = serializers.SlugField(source="dataset.prompt.name", read_only=True)
    versions = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2_147_483_647),
        max_length=runs.MOST_VERSIONS,
    )
    models = serializers.ListField(
        source="model_names",
        child=serializers.CharField(max_length=200),
        max_length=runs.MOST_MODELS,
        help_text="Names as calls ask for them; `prompt` is the version's own.",
    )
    cap_usd = serializers.DecimalField(
        max_digits=20,
        decimal_places=12,
        required=False,
        help_text="Nothing is asked that could cost more. Left out: what the estimate suggests.",
    )

    class Meta:
        model = DatasetRun
        fields = [
            *("id", "dataset", "prompt", "versions", "models", "state", "failure", "cap_usd"),
            *("estimated_usd", "spent_usd", "created_at", "started_at", "ended_at"),
        ]
        read_only_fields = [
            *("state", "failure", "estimated_usd", "spent_usd", "created_at", "started_at"),
            "ended_at",
        ]


class RunWithRatesSerializer(RunSerializer):
    columns = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "columns"]

    def get_columns(self, run: DatasetRun) -> list[dict[str, Any]]:
        found = comparison.columns(run)
        return [dict(ColumnSerializer(column).data) for column in found]


class CheckedSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    passed = serializers.BooleanField()
    why = serializers.CharField(allow_blank=True)
    score = serializers.FloatField(required=False)


class ResultSerializer(serializers.ModelSerializer[CaseResult]):
    """What one version and model made of one case."""

    checks = CheckedSerializer(many=True)
    passed = serializers.BooleanField(allow_null=True, help_text="Null: the case has no checks.")

    class Meta:
        model = CaseResult
        fields = [
            *("id", "case_name", "version", "model", "output", "checks", "passed", "error"),
            *("request_id", "cost_usd", "input_tokens", "output_tokens", "ttft_ms"),
            *("duration_ms", "created_at"),
        ]


class DatasetFilter(django_filters.FilterSet):
    prompt = django_filters.CharFilter(field_name="prompt__name", label="of this prompt")
    guards_releases = BooleanFilter()

    class Meta:
        model = Dataset
        fields = ["prompt", "name", "guards_releases"]


class RunFilter(django_filters.FilterSet):
    prompt = django_filters.CharFilter(field_name="dataset__prompt__name", label="of this prompt")
    dataset = django_filters.CharFilter(field_name="dataset__name", label="over this dataset")

    class Meta:
        model = DatasetRun
        fields = ["prompt", "dataset", "state"]


class ResultFilter(django_filters.FilterSet):
    passed = BooleanFilter()

    class Meta:
        model = CaseResult
        fields = ["version", "model", "passed", "case_name"]


class InOrder(Pages):
    ordering = ["position", "pk"]


class ByCase(Pages):
    ordering = ["case_name", "version", "model", "pk"]


class DatasetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Dataset]):
    """The datasets of the caller's organization, by name."""

    queryset = Dataset.objects.none()
    serializer_class = DatasetSerializer
    pagination_class = ByName
    filterset_class = DatasetFilter

    def get_queryset(self) -> QuerySet[Dataset]:
        mine = Dataset.objects.visible_to(principal_of(self.request))
        return mine.select_related("prompt").annotate(case_count=Count("cases"))

    @extend_schema(request=DatasetSerializer, responses={201: DatasetSerializer})
    def create(self, request: Request) -> Response:
        """Make a dataset, or return the prompt's dataset of this name."""
        person = check_staff(request, "prompts.add_dataset")
        sent = DatasetSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = dict(sent.validated_data)
        prompts = Prompt.objects.visible_to(principal_of(request))
        prompt = get_object_or_404(prompts, name=fields.pop("prompt")["name"])
        made = datasets.dataset_named(prompt=prompt, by=person, **fields)
        shown = DatasetSerializer(self.get_queryset().get(pk=made.pk))
        return Response(shown.data, status=status.HTTP_201_CREATED)


@extend_schema_view(post=extend_schema(request=CaseSerializer, responses={201: CaseSerializer}))
class CaseList(ListAPIView[Case]):
    """The cases of a dataset, in order; staff who may add one."""

    queryset = Case.objects.none()
    serializer_class = CaseSerializer
    pagination_class = InOrder

    def get_queryset(self) -> QuerySet[Case]:
        return _dataset_named(self.request, self.kwargs["pk"]).cases.all()

    def post(self, request: Request, pk: int) -> Response:
        """Add a case at the end; without a name it gets a number."""
        person = check_staff(request, "prompts.add_case")
        dataset = _dataset_named(request, pk)
        sent = CaseSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        made = datasets.add_case(dataset=dataset, by=person, **sent.validated_data)
        return Response(CaseSerializer(made).data, status=status.HTTP_201_CREATED)


@extend_schema_view(
    put=extend_schema(request=CaseSerializer, responses={200: CaseSerializer}),
    delete=extend_schema(responses={204: None}),
)
class CaseDetail(RetrieveAPIView[Case]):
    """One case; staff who may change and delete it."""

    queryset = Case.objects.none()
    serializer_class = CaseSerializer
    lookup_url_kwarg = "case_id"

    def get_queryset(self) -> QuerySet[Case]:
        return _dataset_named(self.request, self.kwargs["pk"]).cases.select_related("dataset")

    def put(self, request: Request, pk: int, case_id: int) -> Response:
        """Let the case say this; results of runs keep what was."""
        person = check_staff(request, "prompts.change_case")
        case = self.get_object()
        sent = CaseSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        content = read_case({"name": case.name, **sent.validated_data})
        changed = datasets.edit_case(case=case, content=content, by=person)
        return Response(CaseSerializer(changed).data)

    def delete(self, request: Request, pk: int, case_id: int) -> Response:
        """Delete the case; what runs have seen of it stays."""
        person = check_staff(request, "prompts.delete_case")
        datasets.delete_case(case=self.get_object(), by=person)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[DatasetRun]):
    """The runs of the caller's organization, newest first."""

    queryset = DatasetRun.objects.none()
    serializer_class = RunSerializer
    pagination_class = NewestFirst
    filterset_class = RunFilter

    def get_queryset(self) -> QuerySet[DatasetRun]:
        mine = DatasetRun.objects.visible_to(principal_of(self.request))
        return mine.select_related("dataset__prompt")

    @extend_schema(responses=RunWithRatesSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a run with its pass rates."""
        return Response(RunWithRatesSerializer(self.get_object()).data)

    @extend_schema(request=RunSerializer, responses={201: RunSerializer})
    def create(self, request: Request) -> Response:
        """Start a run, which the worker does; your budgets pay."""
        person = check_staff(request, "prompts.add_datasetrun")
        sent = RunSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        dataset = _dataset_named(request, asked["dataset_id"])
        chosen = {"versions": asked["versions"], "models": asked["model_names"]}
        runs.check(dataset, **chosen)
        principal = runs.payer(dataset.prompt.organization, person)
        runs.check_models(chosen["models"], principal)
        found = estimate(dataset=dataset, principal=principal, **chosen)
        run = runs.start(
            dataset=dataset,
            cap_usd=asked.get("cap_usd", found.suggested_cap_usd),
            estimated_usd=found.usd,
            by=person,
            **chosen,
        )
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """End an open run; results stay."""
        person = check_staff(request, "prompts.change_datasetrun")
        run = self.get_object()
        runs.cancel(run=run, by=person)
        run.refresh_from_db()
        return Response(RunSerializer(run).data)


class ResultList(ListAPIView[CaseResult]):
    """The results of a run, by case."""

    queryset = CaseResult.objects.none()
    serializer_class = ResultSerializer
    pagination_class = ByCase
    filterset_class = ResultFilter

    def get_queryset(self) -> QuerySet[CaseResult]:
        mine = DatasetRun.objects.visible_to(principal_of(self.request))
        results: QuerySet[CaseResult] = get_object_or_404(mine, pk=self.kwargs["pk"]).results.all()
        return results


def _dataset_named(request: Request, pk: int) -> Dataset:
    mine = Dataset.objects.visible_to(principal_of(request))
    return get_object_or_404(mine.select_related("prompt__organization"), pk=pk)
