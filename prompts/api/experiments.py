"""Experiments over REST: read with their results by all, planned and run by staff who may."""

from typing import Any

import django_filters
import msgspec
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import principal_of
from core.api import NewestFirst
from prompts.api.rights import check_staff
from prompts.api.versions import SettingsSerializer
from prompts.experiments import plans, results, services
from prompts.experiments.plans import MOST_ARMS, MOST_VERSIONS, NAME
from prompts.experiments.ramp import LEAST_PERCENT, LONGEST_HOURS, MOST_STEPS
from prompts.models import Arm, Experiment, ExperimentState, Metric, Prompt, Unit


class ArmSerializer(serializers.ModelSerializer[Arm]):
    name = serializers.RegexField(NAME, max_length=50)
    version = serializers.IntegerField(
        source="version.number", min_value=1, max_value=MOST_VERSIONS
    )
    settings = SettingsSerializer(required=False)

    class Meta:
        model = Arm
        fields = ["name", "version", "is_control", "weight", "model", "settings"]


class StepSerializer(serializers.Serializer[Any]):
    hours = serializers.FloatField(min_value=0, max_value=LONGEST_HOURS)
    percent = serializers.FloatField(min_value=LEAST_PERCENT, max_value=100)


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    """What is planned, and where it stands."""

    prompt = serializers.SlugField(source="prompt.name", help_text="The prompt's name.")
    name = serializers.RegexField(NAME, max_length=100, help_text="Usage records carry it.")
    unit = serializers.ChoiceField(choices=Unit.choices, default=Unit.USER)
    primary_metric = serializers.ChoiceField(choices=Metric.choices, default=Metric.COST)
    # The stubs do not know that a list has a length.
    ramp = StepSerializer(many=True, required=False, max_length=MOST_STEPS)  # type: ignore[call-arg]
    arms = ArmSerializer(many=True, max_length=MOST_ARMS)  # type: ignore[call-arg]

    class Meta:
        model = Experiment
        fields = [
            *("id", "prompt", "name", "hypothesis", "label", "unit", "primary_metric"),
            *("guardrail_metric", "guardrail_limit", "smallest_effect", "ramp", "arms"),
            *("state", "created_at", "started_at", "stopped_at", "stop_reason"),
        ]
        read_only_fields = ["state", "created_at", "started_at", "stopped_at", "stop_reason"]
        validators: list[Any] = []  # the service says what is taken


class RangeSerializer(serializers.Serializer[Any]):
    """A figure, and all the values that the data are compatible with."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class ComparedSerializer(serializers.Serializer[Any]):
    """One arm against control by one metric."""

    metric = serializers.ChoiceField(choices=Metric.choices)
    arm = serializers.CharField()
    state = serializers.CharField(help_text="`ready`, `too_few` or `same`.")
    p_value = serializers.FloatField(help_text="After Holm; valid whenever somebody looks.")
    is_certain = serializers.BooleanField()
    is_good = serializers.BooleanField(allow_null=True)
    difference = RangeSerializer(allow_null=True)
    relative = RangeSerializer(allow_null=True, help_text="As a share of control's figure.")


class ArmResultSerializer(serializers.Serializer[Any]):
    """What was counted of one arm; the figures leave out what came from the cache."""

    name = serializers.CharField()
    is_control = serializers.BooleanField()
    units = serializers.IntegerField()
    expected_units = serializers.FloatField(allow_null=True)
    requests = serializers.IntegerField()
    cache_hits = serializers.IntegerField()
    cache_share = serializers.FloatField(allow_null=True)
    unpriced = serializers.IntegerField()
    values = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="By metric."
    )
    outcome = serializers.CharField(help_text="Of control: empty.")
    sentences = serializers.ListField(child=serializers.CharField())


class ReportSerializer(serializers.Serializer[Any]):
    """What came of an experiment until now, or until it was stopped."""

    counted_at = serializers.DateTimeField()
    is_trusted = serializers.BooleanField(help_text="False: units did not come as planned.")
    split_p_value = serializers.FloatField(allow_null=True)
    sentences = serializers.ListField(child=serializers.CharField())
    arms = ArmResultSerializer(many=True)
    comparisons = ComparedSerializer(many=True)


class WithResultsSerializer(ExperimentSerializer):
    results = serializers.SerializerMethodField()

    class Meta(ExperimentSerializer.Meta):
        fields = [*ExperimentSerializer.Meta.fields, "results"]

    @extend_schema_field(ReportSerializer(allow_null=True))
    def get_results(self, experiment: Experiment) -> Any:
        if experiment.state == ExperimentState.DRAFT:
            return None
        return msgspec.to_builtins(results.report_of(experiment))


class StopSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


class PromoteSerializer(serializers.Serializer[Any]):
    arm = serializers.CharField(max_length=50, help_text="Its name.")


class MoveMadeSerializer(serializers.Serializer[Any]):
    """What became of the label."""

    state = serializers.CharField(help_text="`done`, `proposed`, or `unchanged`.")


class ExperimentFilter(django_filters.FilterSet):
    prompt = django_filters.CharFilter(field_name="prompt__name", label="of this prompt")

    class Meta:
        model = Experiment
        fields = ["prompt", "state"]


class ExperimentViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Experiment]
):
    """The experiments of the caller's organization, newest first."""

    queryset = Experiment.objects.none()
    serializer_class = ExperimentSerializer
    pagination_class = NewestFirst
    filterset_class = ExperimentFilter

    def get_queryset(self) -> QuerySet[Experiment]:
        mine = Experiment.objects.visible_to(principal_of(self.request))
        return mine.select_related("prompt").prefetch_related("arms__version")

    @extend_schema(responses=WithResultsSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return an experiment with what came of it."""
        return Response(WithResultsSerializer(self.get_object()).data)

    @extend_schema(request=ExperimentSerializer, responses={201: ExperimentSerializer})
    def create(self, request: Request) -> Response:
        """Plan an experiment; nothing changes for callers until it is started."""
        person = check_staff(request, "prompts.add_experiment")
        sent = ExperimentSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        mine = Prompt.objects.visible_to(principal_of(request))
        prompt = get_object_or_404(mine, name=sent.validated_data.pop("prompt")["name"])
        plan = plans.read(_plain(sent.validated_data))
        made = services.create(prompt=prompt, plan=plan, created_by=person)
        return Response(ExperimentSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ExperimentSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: int) -> Response:
        """Split the label's calls from now on."""
        person = check_staff(request, "prompts.change_experiment")
        begun = services.start(experiment=self.get_object(), started_by=person)
        return Response(ExperimentSerializer(begun).data)

    @extend_schema(request=StopSerializer, responses=WithResultsSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: int) -> Response:
        """End it without a winner; its figures stay as they are now."""
        person = check_staff(request, "prompts.change_experiment")
        sent = StopSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        ended = services.stop(
            experiment=self.get_object(), stopped_by=person, **sent.validated_data
        )
        return Response(WithResultsSerializer(ended).data)

    @extend_schema(request=PromoteSerializer, responses=MoveMadeSerializer)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: int) -> Response:
        """Let the label have the arm's version, as its rule allows, and end the experiment."""
        check_staff(request, "prompts.change_experiment")
        person = check_staff(request, "prompts.change_promptlabel")
        sent = PromoteSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        experiment = self.get_object()
        arm = get_object_or_404(experiment.arms, name=sent.validated_data["arm"])
        move = services.promote(experiment=experiment, arm=arm, promoted_by=person)
        return Response({"state": move.state if move else "unchanged"})


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a plan as `plans.read` takes them."""
    arms = [{**arm, "version": arm["version"]["number"]} for arm in fields["arms"]]
    return {**fields, "arms": arms, "guardrail_metric": fields.get("guardrail_metric") or None}
