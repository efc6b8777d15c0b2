"""What a run will cost, and what came of it beside the run before."""

from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import Organization
from prompts.models import CaseResult, Dataset, DatasetRun, RunState
from prompts.testing import comparison, datasets, estimate, runs
from tests.testing_support import HELLO, MODEL, make_dataset, make_prompt
from tests.usage_support import used
from tests.vendor import FakeVendor

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def dataset(acme: Organization, vendor: FakeVendor) -> Dataset:
    vendor.serve(MODEL)
    return make_dataset(make_prompt(acme), [HELLO], [HELLO])


def estimated(
    dataset: Dataset, *models: str, versions: tuple[int, ...] = (1,)
) -> estimate.Estimate:
    principal = runs.payer(dataset.prompt.organization, None)
    return estimate.estimate(
        dataset=dataset, versions=versions, models=models or (MODEL,), principal=principal
    )


def test_an_estimate_counts_words_and_takes_answers_to_be_as_long_as_allowed(
    dataset: Dataset,
) -> None:
    found = estimated(dataset)

    # "Greet Ada." is 3 tokens and 7 around it, $1 a million; 100 of output at $2.
    assert found.usd is not None
    assert 2 * Decimal("0.0002") < found.usd < 2 * Decimal("0.00022")
    assert found.asks == 2
    assert found.suggested_cap_usd == Decimal("0.01")
    assert estimated(dataset, versions=(1, 2)).asks == 4


def test_an_estimate_learns_from_past_runs_and_calls(dataset: Dataset) -> None:
    at_most = estimated(dataset).usd
    used(dataset.prompt.organization, prompt_name="greeting", output_tokens=50)
    by_calls = estimated(dataset).usd
    run = done(dataset, {("Case 1", 1, MODEL): True})
    CaseResult.objects.filter(run=run).update(output_tokens=10)
    by_runs = estimated(dataset).usd

    assert at_most is not None
    assert by_calls is not None
    assert by_runs is not None
    assert at_most > by_calls > by_runs
    assert at_most - by_calls == 2 * 50 * Decimal("0.000002")


def test_judges_are_in_an_estimate(dataset: Dataset, vendor: FakeVendor) -> None:
    without = estimated(dataset).usd
    judge = {"kind": "judge", "rubric": "Is it kind?", "model": MODEL}
    like = {"kind": "similar", "text": "Hello", "model": MODEL}
    datasets.add_case(dataset=dataset, variables={"name": "Bo"}, checks=[judge, like])

    found = estimated(dataset).usd

    assert without is not None
    assert found is not None
    assert found > without * 2


def test_an_estimate_says_what_it_does_not_know(dataset: Dataset, vendor: FakeVendor) -> None:
    vendor.serve("free", model="free-model", prices_usd=None)
    datasets.add_case(dataset=dataset, name="odd", variables={})

    found = estimated(dataset, MODEL, "free")

    assert (found.usd, found.unpriced) == (None, ("free",))
    assert found.problem.startswith("odd, version 1: ")


def test_a_large_run_is_estimated_by_a_sample(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = estimated(dataset).usd
    monkeypatch.setattr(estimate, "SAMPLE", 1)

    assert estimated(dataset).usd == whole


def done(
    dataset: Dataset, passed: dict[comparison.Key, bool | None], state: RunState = RunState.DONE
) -> DatasetRun:
    """Write down a run that saw this."""
    run = DatasetRun.objects.create(
        dataset=dataset,
        versions=sorted({version for _, version, _ in passed}),
        model_names=sorted({model for _, _, model in passed}),
        state=state,
        cap_usd=1,
        ended_at=timezone.now(),
    )
    for (case, version, model), outcome in passed.items():
        checks = [] if outcome is None else [{"kind": "equals", "passed": outcome, "why": "No."}]
        CaseResult.objects.create(
            run=run,
            case_name=case,
            version=version,
            model=model,
            passed=outcome,
            checks=checks,
            cost_usd=Decimal("0.1"),
        )
    return run


def test_a_run_is_compared_with_the_last_one_that_was_finished(dataset: Dataset) -> None:
    old = done(dataset, {("a", 1, "m"): True, ("b", 1, "m"): False, ("c", 1, "m"): True})
    done(dataset, {("a", 1, "m"): False}, state=RunState.CAPPED)
    new = {("a", 1, "m"): False, ("b", 1, "m"): True, ("c", 1, "m"): True, ("d", 1, "m"): False}

    found = comparison.differences(done(dataset, {**new, ("e", 1, "m"): None}))

    assert found.previous == old
    assert [(one.case, one.why) for one in found.newly_failing] == [("a", "No.")]
    assert [one.case for one in found.newly_passing] == ["b"]
    assert comparison.differences(old).previous is None


def test_a_new_version_is_compared_with_the_newest_that_was_run(dataset: Dataset) -> None:
    done(dataset, {("a", 1, "m"): False, ("a", 2, "m"): True, ("a", 1, "n"): False})

    found = comparison.differences(done(dataset, {("a", 3, "m"): False, ("a", 3, "n"): True}))

    assert [(one.version, one.before) for one in found.newly_failing] == [(3, 2)]
    assert [(one.model, one.before) for one in found.newly_passing] == [("n", 1)]


def test_pass_rates_are_those_that_rules_of_labels_count(dataset: Dataset) -> None:
    run = done(dataset, {("a", 1, "m"): True, ("b", 1, "m"): None, ("c", 1, "m"): None})
    run.results.filter(case_name="c").update(error="timeout", passed=False, cost_usd=None)
    run.versions = [1, 2]

    first, second = comparison.columns(run)

    assert (first.answered, first.passed, first.counted, first.errors) == (3, 1, 2, 1)
    assert (first.rate, first.cost_usd) == (Decimal("0.5"), None)
    assert (second.answered, second.rate) == (0, None)
