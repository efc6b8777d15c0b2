"""What came of a run: pass rates of its columns, and what is new since the run before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Avg, Count, Q, Sum

from prompts.models import CaseResult, DatasetRun, RunState

Key = tuple[str, int, str]  # case, version, model


@dataclass(frozen=True, slots=True)
class Column:
    """One version with one model, over all cases."""

    version: int
    model: str
    answered: int
    counted: int  # results with checks, or an error
    passed: int
    errors: int
    cost_usd: Decimal | None  # None: a part of it is not known
    ttft_ms: float | None

    @property
    def rate(self) -> Decimal | None:
        """Return the share that passed, as label rules count it; `None`: nothing was checked."""
        return Decimal(self.passed) / self.counted if self.counted else None

    @property
    def percent(self) -> Decimal | None:
        """Return the rate for people."""
        return None if self.rate is None else self.rate * 100


@dataclass(frozen=True, slots=True)
class Change:
    """A case that came out otherwise than in the run before."""

    case: str
    version: int
    model: str
    before: int  # the version that it is compared with
    why: str


@dataclass(frozen=True, slots=True)
class Differences:
    """What is new since the run before."""

    previous: DatasetRun | None
    newly_failing: Sequence[Change] = ()
    newly_passing: Sequence[Change] = ()


def columns(run: DatasetRun) -> list[Column]:
    """Return the columns of a run in the order it was asked for, also those without a result."""
    rows = run.results.order_by().values("version", "model")
    found = {
        (row["version"], row["model"]): row
        for row in rows.annotate(
            answered=Count("pk"),
            counted=Count("pk", filter=~Q(passed=None, error="")),
            right=Count("pk", filter=Q(passed=True, error="")),
            errors=Count("pk", filter=~Q(error="")),
            cost=Sum("cost_usd"),
            unpriced=Count("pk", filter=Q(cost_usd=None)),
            ttft=Avg("ttft_ms"),
        )
    }
    return [
        _column(version, model, found.get((version, model)))
        for version in run.versions
        for model in run.model_names
    ]


def differences(run: DatasetRun) -> Differences:
    """Return what is new since the last run of the dataset that was finished before."""
    earlier = DatasetRun.objects.filter(dataset_id=run.dataset_id, state=RunState.DONE)
    previous = earlier.filter(pk__lt=run.pk).order_by("-pk").first()
    if previous is None:
        return Differences(None)
    before, now = _outcomes(previous), _outcomes(run)
    newest = _newest(before)
    failing: list[tuple[Key, Key]] = []
    passing: list[tuple[Key, Key]] = []
    for key, is_passed in sorted(now.items()):
        # The same, or the case with the newest version that the model had then.
        twin = key if key in before else newest.get((key[0], key[2]))
        if twin is None or before[twin] == is_passed:
            continue
        (passing if is_passed else failing).append((key, twin))
    reasons = _reasons(run, [key for key, _ in failing])
    return Differences(
        previous,
        [Change(*key, twin[1], reasons.get(key, "")) for key, twin in failing],
        [Change(*key, twin[1], "") for key, twin in passing],
    )


def reason(result: CaseResult) -> str:
    """Return why a result has failed, in one line; of one that has not: nothing."""
    if result.error:
        return result.error
    failed = [check for check in result.checks if not check["passed"]]
    return " ".join(check["why"] or f"The check “{check['kind']}” failed." for check in failed)


def _column(version: int, model: str, row: Mapping[str, object] | None) -> Column:
    if row is None:
        return Column(version, model, 0, 0, 0, 0, None, None)
    fields: dict[str, object] = {
        "answered": row["answered"],
        "counted": row["counted"],
        "passed": row["right"],
        "errors": row["errors"],
        "cost_usd": None if row["unpriced"] else row["cost"],
        "ttft_ms": row["ttft"],
    }
    return Column(version, model, **fields)  # type: ignore[arg-type]  # as the query has them


def _outcomes(run: DatasetRun) -> dict[Key, bool]:
    """Return which results with checks have passed."""
    counted = run.results.exclude(passed=None).order_by()
    return {
        (case, version, model): bool(passed)
        for case, version, model, passed in counted.values_list(
            "case_name", "version", "model", "passed"
        )
    }


def _newest(outcomes: Mapping[Key, bool]) -> dict[tuple[str, str], Key]:
    """Return for each case and model the outcome of the newest version."""
    return {(case, model): (case, version, model) for case, version, model in sorted(outcomes)}


def _reasons(run: DatasetRun, keys: Sequence[Key]) -> dict[Key, str]:
    failed = run.results.filter(case_name__in={case for case, _, _ in keys}, passed=False)
    return {(one.case_name, one.version, one.model): reason(one) for one in failed.defer("output")}
