"""All datasets behind a label run in this process, as CI wants it, and what came of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from accounts.models import Organization, User
from core.errors import InvalidRequest, NotFound
from prompts.applying import THE_PROMPTS_MODEL
from prompts.models import Dataset, DatasetRun, Prompt, PromptLabel, RunState
from prompts.testing import comparison, leases, running, runs
from prompts.testing.comparison import Column, Differences

CENTS = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be run."""

    label: str
    organization: Organization | None = None  # None: all
    prompt: str = ""
    dataset: str = ""
    models: tuple[str, ...] = ()  # empty: each version's own
    max_usd: Decimal = Decimal(1)
    fail_under: Decimal = Decimal(1)
    by: User | None = None  # None: the organizations themselves pay


@dataclass(frozen=True, slots=True)
class Item:
    """A dataset with the version that the label points at."""

    dataset: Dataset
    version: int
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one dataset."""

    item: Item
    run: DatasetRun
    columns: Sequence[Column]
    differences: Differences

    def problems(self, fail_under: Decimal) -> list[str]:
        """Return why this is not good enough, in sentences."""
        if self.run.state != RunState.DONE:
            return [self.run.failure or f"The run is {self.run.get_state_display().lower()}."]
        return [
            f"{column.model}: {_said(column)}, and {fail_under:.0%} are needed."
            for column in self.columns
            if (column.rate or Decimal(0)) < fail_under
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for programs."""
        changes = self.differences
        return {
            "organization": self.item.dataset.prompt.organization.slug,
            "prompt": self.item.dataset.prompt.name,
            "dataset": self.item.dataset.name,
            "version": self.item.version,
            "run": self.run.pk,
            "state": self.run.state,
            "spent_usd": f"{self.run.spent_usd:f}",
            "columns": [
                {
                    "model": one.model,
                    "passed": one.passed,
                    "counted": one.counted,
                    "rate": None if one.rate is None else round(float(one.rate), 6),
                }
                for one in self.columns
            ],
            "newly_failing": [
                {"case": one.case, "model": one.model, "why": one.why}
                for one in changes.newly_failing
            ],
            "newly_passing": [
                {"case": one.case, "model": one.model} for one in changes.newly_passing
            ],
        }


@dataclass(slots=True)
class Suite:
    """Runs one dataset after the other, all within one cap."""

    wish: Wish
    outcomes: list[Outcome] = field(default_factory=list)
    current: DatasetRun | None = None

    async def work(self, items: Sequence[Item]) -> None:
        """Run all; what is left of the cap is the cap of the next."""
        left = self.wish.max_usd
        for item in items:
            outcome = await self._one(item, max(left, CENTS))
            left -= outcome.run.spent_usd
            self.outcomes.append(outcome)

    async def _one(self, item: Item, cap_usd: Decimal) -> Outcome:
        self.current = await sync_to_async(self._begin)(item, cap_usd)
        await running.do(self.current)
        outcome = await sync_to_async(_outcome)(item, self.current)
        self.current = None
        return outcome

    @transaction.atomic
    def _begin(self, item: Item, cap_usd: Decimal) -> DatasetRun:
        """Return a run that no worker takes from us."""
        run = runs.start(
            dataset=item.dataset,
            versions=[item.version],
            models=item.models,
            cap_usd=cap_usd,
            by=self.wish.by,
        )
        leases.take(run)
        return run


def items(wish: Wish) -> list[Item]:
    """Return what the wish is about; raise `NotFound` or `InvalidRequest` where that is nothing."""
    labels = PromptLabel.objects.filter(
        name=wish.label, prompt__organization__is_active=True
    ).select_related("version")
    if wish.organization is not None:
        labels = labels.filter(prompt__organization=wish.organization)
    versions = {label.prompt_id: label.version for label in labels}
    datasets = Dataset.objects.filter(prompt__in=versions, cases__isnull=False).distinct()
    if wish.prompt:
        datasets = datasets.filter(prompt__name=wish.prompt)
    if wish.dataset:
        datasets = datasets.filter(name=wish.dataset)
    found = [
        Item(
            one, versions[one.prompt_id].number, _models(wish, one.prompt, versions[one.prompt_id])
        )
        for one in datasets.select_related("prompt__organization").order_by(
            "prompt__organization__slug", "prompt__name", "name"
        )
    ]
    if not found:
        raise NotFound(f"No dataset with cases is of a prompt that has the label “{wish.label}”.")
    return found


def _models(wish: Wish, prompt: Prompt, version: Any) -> tuple[str, ...]:
    if not wish.models and not version.settings.get("model"):
        raise InvalidRequest(
            f"Version {version.number} of “{prompt}” has no model of its own: name one."
        )
    return wish.models or (THE_PROMPTS_MODEL,)


def _outcome(item: Item, run: DatasetRun) -> Outcome:
    run.refresh_from_db()
    return Outcome(item, run, comparison.columns(run), comparison.differences(run))


def _said(column: Column) -> str:
    if column.rate is None:
        return "no case has checks"
    return f"{column.passed} of {column.counted} passed"
