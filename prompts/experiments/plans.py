"""What staff decide about an experiment, and what of it is wrong."""

from collections import Counter
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from prompts.content import ModelSettings
from prompts.experiments.errors import ExperimentInvalid
from prompts.experiments.ramp import Ramp, read_ramp
from prompts.models import LABEL_NAME, PRODUCTION, Experiment, Metric, Unit
from prompts.models.experiments import MOST_WEIGHT

MOST_ARMS = 10
MOST_VERSIONS = 2**31 - 1
NAME = r"^[A-Za-z0-9_-]+\Z"

Share = Annotated[float, Meta(ge=0, le=10)]


class ArmPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=NAME, max_length=50)]
    version: Annotated[int, Meta(ge=1, le=MOST_VERSIONS)]  # its number
    is_control: bool = False
    weight: Annotated[int, Meta(ge=0, le=MOST_WEIGHT)] = 1
    model: Annotated[str, Meta(max_length=200)] = ""
    settings: ModelSettings = ModelSettings()

    def stored(self) -> dict[str, Any]:
        """Return the fields of an `Arm`, but for its version."""
        return {
            "name": self.name,
            "is_control": self.is_control,
            "weight": self.weight,
            "model": self.model,
            "settings": msgspec.to_builtins(self.settings),
        }


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about an experiment that people decide."""

    name: Annotated[str, Meta(pattern=NAME, max_length=100)]
    hypothesis: Annotated[str, Meta(max_length=300)] = ""
    label: str = PRODUCTION
    unit: Unit = Unit.USER
    primary_metric: Metric = Metric.COST
    guardrail_metric: Metric | None = None
    guardrail_limit: Share = 0.0
    smallest_effect: Annotated[float, Meta(ge=0.001, le=10)] = 0.05
    ramp: Ramp = ()
    arms: Annotated[tuple[ArmPlan, ...], Meta(max_length=MOST_ARMS)] = ()

    def stored(self) -> dict[str, Any]:
        """Return the fields of an `Experiment`."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        del fields["arms"]
        return {**fields, "guardrail_metric": self.guardrail_metric or ""}

    def without_weights(self) -> "Plan":
        """Return what may not change once it runs."""
        arms = (msgspec.structs.replace(arm, weight=0) for arm in self.arms)
        in_order = tuple(sorted(arms, key=lambda arm: arm.name))
        return msgspec.structs.replace(self, arms=in_order, ramp=())


def read(fields: Any) -> Plan:
    """Return the plan in these plain values; raise `ExperimentInvalid` saying what is wrong."""
    try:
        plan = msgspec.convert(fields, Plan)
    except msgspec.ValidationError as error:
        raise ExperimentInvalid(f"The experiment is wrong: {error}.") from None
    check(plan)
    return plan


def check(plan: Plan) -> None:
    """Raise what is wrong with a plan, also of a draft."""
    read_ramp(msgspec.to_builtins(plan.ramp))
    if not LABEL_NAME.fullmatch(plan.label):
        raise ExperimentInvalid("There can be no label of this name.", param="label")
    names = Counter(arm.name for arm in plan.arms)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ExperimentInvalid(f"Two arms have the name “{twice[0]}”.", param="arms")
    if sum(arm.is_control for arm in plan.arms) > 1:
        raise ExperimentInvalid("One arm is the control, not several.", param="arms")


def check_complete(plan: Plan) -> None:
    """Raise what a plan lacks to be started."""
    if len(plan.arms) < 2:
        raise ExperimentInvalid("An experiment compares two arms at least.", param="arms")
    if not any(arm.is_control for arm in plan.arms):
        raise ExperimentInvalid("One arm is the control: say which.", param="arms")
    if not any(arm.weight for arm in plan.arms):
        raise ExperimentInvalid("At least one arm has a weight above 0.", param="arms")


def plan_of(experiment: Experiment) -> Plan:
    """Return what was decided about an experiment."""
    names = [name for name in Plan.__struct_fields__ if name not in ("arms", "guardrail_metric")]
    return msgspec.convert(
        {
            **{name: getattr(experiment, name) for name in names},
            "guardrail_metric": experiment.guardrail_metric or None,
            "arms": [
                {
                    "name": arm.name,
                    "version": arm.version.number,
                    "is_control": arm.is_control,
                    "weight": arm.weight,
                    "model": arm.model,
                    "settings": arm.settings,
                }
                for arm in experiment.arms.select_related("version")
            ],
        },
        Plan,
    )
