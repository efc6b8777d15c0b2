"""The form that starts a run: versions, models, and a cap that is chosen by the estimate."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django import forms

from accounts.models import User
from core.errors import AppError
from llm import service
from prompts.applying import THE_PROMPTS_MODEL
from prompts.models import Dataset, DatasetRun
from prompts.testing import runs
from prompts.testing.estimate import Estimate, estimate

NEWEST = 30  # versions that can be chosen


class RunForm(forms.Form):
    versions = forms.TypedMultipleChoiceField(
        coerce=int, widget=forms.CheckboxSelectMultiple, error_messages={"required": "Choose one."}
    )
    models = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, error_messages={"required": "Choose one."}
    )
    cap_usd = forms.DecimalField(
        label="Stop before it costs more than, USD",
        required=False,
        min_value=Decimal("0.000001"),
        max_value=runs.MOST_CAP,
        help_text="Empty: what the estimate suggests.",
    )


class RunEditor:
    """The form, what the choice will cost, and what is wrong with it."""

    def __init__(
        self, dataset: Dataset, person: User, sent: Mapping[str, Any] | None = None
    ) -> None:
        self.problem = ""
        self.estimate: Estimate | None = None
        self._dataset, self._person = dataset, person
        versions = _versions(dataset)
        self.form = RunForm(sent, initial={"versions": [number for number, _ in versions[:1]]})
        self._fill("versions", versions)
        self._fill("models", self._models(dict(versions)))
        self._is_start = sent is not None and "start" in sent

    def started(self) -> DatasetRun | None:
        """Return the new run; `None` where only an estimate was wanted, or something is wrong."""
        if not self.form.is_valid():
            self.problem = "Some fields are wrong; each says what it needs."
            return None
        try:
            self.estimate = self._estimated()
            if self._is_start:
                return self._start(self.estimate)
        except AppError as error:
            self.problem = error.message
        return None

    def _estimated(self) -> Estimate:
        chosen = self._chosen()
        runs.check(self._dataset, chosen["versions"], chosen["models"])
        principal = runs.payer(self._dataset.prompt.organization, self._person)
        runs.check_models(chosen["models"], principal)
        return estimate(
            dataset=self._dataset,
            versions=chosen["versions"],
            models=chosen["models"],
            principal=principal,
        )

    def _start(self, found: Estimate) -> DatasetRun:
        chosen = self._chosen()
        return runs.start(
            dataset=self._dataset,
            versions=chosen["versions"],
            models=chosen["models"],
            cap_usd=chosen["cap_usd"] or found.suggested_cap_usd,
            estimated_usd=found.usd,
            by=self._person,
        )

    def _chosen(self) -> dict[str, Any]:
        """Return what was chosen, the older version first."""
        chosen = self.form.cleaned_data
        return {**chosen, "versions": sorted(chosen["versions"])}

    def _models(self, versions: Mapping[int, str]) -> list[tuple[str, str]]:
        """Return what the person may ask for, and the versions' own models where all have one."""
        try:
            principal = runs.payer(self._dataset.prompt.organization, self._person)
        except AppError as error:
            self.problem = error.message
            return []
        offers = [(one.id, one.id) for one in async_to_sync(service.models)(principal)]
        known = self._dataset.prompt.versions.filter(number__in=versions)
        has_own = any(one.get("model") for one in known.values_list("settings", flat=True))
        own = [(THE_PROMPTS_MODEL, "the version’s own")] if has_own else []
        return [*own, *offers]

    def _fill(self, name: str, choices: Any) -> None:
        field: Any = self.form.fields[name]
        field.choices = choices


def _versions(dataset: Dataset) -> list[tuple[int, str]]:
    """Return the newest versions, each with its labels and its note."""
    labels: dict[int, list[str]] = {}
    found = dataset.prompt.labels.order_by("name").values_list("version__number", "name")
    for number, name in found:
        labels.setdefault(number, []).append(name)
    newest = dataset.prompt.versions.newest_first().values_list("number", "note")
    return [
        (number, " · ".join(filter(None, (str(number), ", ".join(labels.get(number, [])), note))))
        for number, note in newest[:NEWEST]
    ]
