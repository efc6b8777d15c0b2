"""What the rule of a label asks for before it moves: a second person, passed tests."""

from decimal import ROUND_FLOOR, Decimal

from django.db.models import Count, Q

from prompts.models import (
    Dataset,
    DatasetRun,
    LabelMove,
    LabelRule,
    Prompt,
    PromptVersion,
    RunState,
)
from prompts.releases.errors import PassedTestsNeeded, SecondPersonNeeded


def rule_of(prompt: Prompt, label: str) -> LabelRule:
    """Return the rule of the label; one that asks for nothing where staff have made none."""
    found = LabelRule.objects.filter(organization_id=prompt.organization_id, label=label).first()
    return found or LabelRule(organization_id=prompt.organization_id, label=label)


def check_move(move: LabelMove) -> None:
    """Raise unless the rule of its label lets the move happen as it stands."""
    rule = rule_of(move.prompt, move.label)
    if rule.needs_second_person and move.decided_by_id is None:
        raise SecondPersonNeeded(f"A second person has to confirm a move of “{move.label}”.")
    check_tests(rule, move.version)


def check_tests(rule: LabelRule, version: PromptVersion) -> None:
    """Raise `PassedTestsNeeded` unless the version passed what guards the label."""
    if rule.required_pass_rate is None:
        return
    guards = Dataset.objects.filter(prompt_id=version.prompt_id, guards_releases=True)
    if not guards:
        raise PassedTestsNeeded(
            f"“{rule.label}” needs passed tests, and no dataset of this prompt guards releases. "
            "Mark one that does, and run it with this version."
        )
    for dataset in guards.order_by("name"):
        _check_dataset(dataset, version.number, rule.label, rule.required_pass_rate)


def _check_dataset(dataset: Dataset, number: int, label: str, needed: Decimal) -> None:
    runs = dataset.runs.filter(state=RunState.DONE, versions__contains=[number])
    run = runs.order_by("-ended_at", "-pk").first()
    if run is None:
        raise PassedTestsNeeded(
            f"The dataset “{dataset}” has no finished run with version {number}. "
            f"“{label}” needs {_percent(needed)} passed: run the tests first."
        )
    reached, model = _worst_share(run, number)
    if reached < needed:
        raise PassedTestsNeeded(
            f"Version {number} passed {_percent(reached)} of the dataset “{dataset}”{model}. "
            f"“{label}” needs {_percent(needed)}."
        )


def _worst_share(run: DatasetRun, number: int) -> tuple[Decimal, str]:
    """Return the lowest share of passed cases of all models, and whose it is.

    A case without checks says nothing; one that ended in an error has failed.
    """
    counted = run.results.filter(version=number).exclude(passed=None, error="")
    rows = counted.values_list("model").annotate(
        passed=Count("pk", filter=Q(passed=True, error="")), all=Count("pk")
    )
    shares = [(Decimal(passed) / total, f" with {model}") for model, passed, total in rows]
    return min(shares, default=(Decimal(0), ", where no case has checks"))


def _percent(share: Decimal) -> str:
    """Return a share in words, rounded down: 89.96% are not 90%."""
    rounded = (share * 100).quantize(Decimal("0.1"), rounding=ROUND_FLOOR)
    return f"{rounded:f}%".replace(".0%", "%")
