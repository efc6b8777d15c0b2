"""The forms of an experiment: what is planned, its arms, and the steps of its ramp."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django import forms
from django.core.exceptions import ValidationError

from core.errors import AppError
from prompts.content import ModelSettings
from prompts.experiments import plans
from prompts.experiments.plans import MOST_ARMS, ArmPlan, Plan
from prompts.experiments.ramp import MOST_STEPS, read_ramp
from prompts.models import PRODUCTION, Metric, Prompt, Unit
from prompts.models.experiments import MOST_WEIGHT

NEW_ARMS = "AB"


class PlanForm(forms.Form):
    name = forms.SlugField(max_length=100, help_text="Usage records carry it.")
    hypothesis = forms.CharField(
        required=False, max_length=300, help_text="What you expect, and of which arm."
    )
    label = forms.ChoiceField(help_text="Calls that ask for this label are split.")
    unit = forms.ChoiceField(choices=Unit.choices, help_text="Who keeps the arm they got first.")
    primary_metric = forms.ChoiceField(
        choices=Metric.choices, help_text="What decides. The others are shown as well."
    )
    smallest_effect = forms.FloatField(
        label="Smallest difference worth seeing, %", min_value=0.1, max_value=1000
    )
    guardrail_metric = forms.ChoiceField(
        choices=[("", "None"), *Metric.choices],
        required=False,
        help_text="The experiment stops by itself when an arm is certainly worse in this.",
    )
    guardrail_limit = forms.FloatField(label="Worse by at most, %", min_value=0, max_value=1000)

    def planned(self) -> dict[str, Any]:
        """Return the fields of a plan."""
        fields = dict(self.cleaned_data)
        for share in ("smallest_effect", "guardrail_limit"):
            fields[share] = round(fields[share] / 100, 6)
        return {**fields, "guardrail_metric": fields["guardrail_metric"] or None}


class ArmForm(forms.Form):
    name = forms.SlugField(max_length=50)
    version = forms.TypedChoiceField(coerce=int)
    weight = forms.IntegerField(min_value=0, max_value=MOST_WEIGHT, initial=1)
    model = forms.CharField(
        required=False, max_length=200, help_text="Asked instead of what the caller names."
    )
    settings = forms.CharField(
        required=False,
        help_text="JSON that counts before the version's own.",
        widget=forms.TextInput(attrs={"placeholder": '{"temperature": 0.2}'}),
    )

    def clean_settings(self) -> dict[str, Any]:
        """Return the settings, or say what is wrong with them."""
        text = self.cleaned_data["settings"].strip()
        try:
            settings = msgspec.json.decode(text or "{}", type=ModelSettings)
        except msgspec.MsgspecError as error:
            raise ValidationError(f"These are no settings: {error}.") from None
        stored: dict[str, Any] = msgspec.to_builtins(settings)
        return stored


class StepForm(forms.Form):
    hours = forms.FloatField(label="Hours after the start", min_value=0)
    percent = forms.FloatField(label="Percent take part", min_value=0.1, max_value=100)


ArmFormSet = forms.formset_factory(
    ArmForm, extra=2, max_num=MOST_ARMS, validate_max=True, can_delete=True, can_delete_extra=False
)
StepFormSet = forms.formset_factory(
    StepForm,
    extra=3,
    max_num=MOST_STEPS,
    validate_max=True,
    can_delete=True,
    can_delete_extra=False,
)


class PlanEditor:
    """The forms of one plan together: filled from it, and read into another one."""

    def __init__(
        self, prompt: Prompt, plan: Plan | None = None, sent: Mapping[str, Any] | None = None
    ) -> None:
        versions = [(one.number, _told(one)) for one in prompt.versions.newest_first()]
        self.form = PlanForm(sent, initial=_initial(plan))
        label = self.form.fields["label"]
        assert isinstance(label, forms.ChoiceField)  # noqa: S101 - as it is declared above
        labels = prompt.labels.order_by("name").values_list("name", flat=True)
        label.choices = [(name, name) for name in labels]
        arms = _arm_rows(plan.arms) if plan else _first_arms(prompt)
        self.arms = ArmFormSet(sent, prefix="arms", initial=arms)
        for form in self.arms:
            version = form.fields["version"]
            assert isinstance(version, forms.TypedChoiceField)  # noqa: S101 - as above
            # A row that says nothing is no arm.
            version.choices = [("", "none"), *versions] if form.empty_permitted else versions
        self.ramp = _steps(plan, sent)
        self.problem = ""

    def plan(self) -> Plan | None:
        """Return what was sent; `None` where the forms or `problem` say what is wrong."""
        parts = [part.is_valid() for part in (self.form, self.arms, self.ramp)]
        if not all(parts):
            self.problem = "Some fields are wrong; each says what it needs."
            return None
        arms = enumerate(_rows(self.arms))
        fields = {
            **self.form.planned(),
            "arms": [{**arm, "is_control": number == 0} for number, arm in arms],
            "ramp": _rows(self.ramp),
        }
        try:
            return plans.read(fields)
        except AppError as error:
            self.problem = error.message
        return None


class CourseEditor:
    """What may be changed while an experiment runs: weights and ramp."""

    def __init__(self, plan: Plan, sent: Mapping[str, Any] | None = None) -> None:
        self._plan = plan
        self.weights = forms.Form(sent)
        for arm in plan.arms:
            self.weights.fields[f"weight-{arm.name}"] = forms.IntegerField(
                label=f"Weight of {arm.name}",
                min_value=0,
                max_value=MOST_WEIGHT,
                initial=arm.weight,
            )
        self.ramp = _steps(plan, sent)

    def plan(self) -> Plan | None:
        """Return the plan with the new weights and ramp; `None` where something is wrong."""
        if not all([self.weights.is_valid(), self.ramp.is_valid()]):
            return None
        weights = self.weights.cleaned_data
        arms = tuple(
            msgspec.structs.replace(arm, weight=weights[f"weight-{arm.name}"])
            for arm in self._plan.arms
        )
        steps = read_ramp(_rows(self.ramp))
        return msgspec.structs.replace(self._plan, arms=arms, ramp=steps)


def _rows(formset: Any) -> list[dict[str, Any]]:
    """Return the rows that were filled and are not to be removed."""
    filled = [dict(form.cleaned_data) for form in formset if form.cleaned_data]
    return [row for row in filled if not row.pop("DELETE", False)]


def _steps(plan: Plan | None, sent: Mapping[str, Any] | None) -> Any:
    rows = msgspec.to_builtins(plan.ramp) if plan else []
    return StepFormSet(sent, prefix="ramp", initial=rows)


def _initial(plan: Plan | None) -> dict[str, Any]:
    if plan is None:
        return {"label": PRODUCTION, "smallest_effect": 5, "guardrail_limit": 10}
    shares = {
        name: round(getattr(plan, name) * 100, 4) for name in ("smallest_effect", "guardrail_limit")
    }
    return {**plan.stored(), **shares}


def _arm_rows(arms: Sequence[ArmPlan]) -> list[dict[str, Any]]:
    rows = [{**arm.stored(), "version": arm.version} for arm in arms]
    return [
        {**row, "settings": json.dumps(row["settings"]) if row["settings"] else ""} for row in rows
    ]


def _first_arms(prompt: Prompt) -> list[dict[str, Any]]:
    """Return what most experiments compare: what is in production, and the newest version."""
    label = prompt.labels.filter(name=PRODUCTION).select_related("version").first()
    newest = prompt.versions.newest_first().first()
    versions = [label.version.number if label else None, newest.number if newest else None]
    return [
        {"name": name, "version": version, "weight": 1}
        for name, version in zip(NEW_ARMS, versions, strict=True)
    ]


def _told(version: Any) -> str:
    return f"{version.number}: {version.note[:60]}" if version.note else str(version.number)
