"""A label can want passed tests of a version before it moves there."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import Organization, User
from prompts import services
from prompts.content import MessageTemplate, PromptContent
from prompts.models import (
    CaseResult,
    Dataset,
    DatasetRun,
    LabelMove,
    LabelRule,
    MoveState,
    Prompt,
    RunState,
)
from prompts.releases import services as releases
from prompts.releases.errors import PassedTestsNeeded

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt(db: None) -> Prompt:
    """A prompt with version 1 in production, which from now on wants nine tests of ten passed."""
    organization = Organization.objects.create(name="Acme", slug="acme")
    made = services.create_prompt(organization=organization, name="greeting")
    for number in (1, 2):
        content = PromptContent(messages=(MessageTemplate("system", f"Text {number}."),))
        services.add_version(prompt=made, content=content)
    releases.move_label(prompt=made, number=1)
    LabelRule.objects.create(organization=organization, required_pass_rate=Decimal("0.9"))
    return made


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada")


def guard(prompt: Prompt, name: str = "smoke") -> Dataset:
    return Dataset.objects.create(prompt=prompt, name=name, guards_releases=True)


def run(
    dataset: Dataset,
    passed: Mapping[str, Sequence[bool | None]],
    number: int = 2,
    state: RunState = RunState.DONE,
) -> DatasetRun:
    """Write down a run: for each model, which cases passed."""
    made = DatasetRun.objects.create(
        dataset=dataset,
        versions=[1, number],
        model_names=list(passed),
        state=state,
        cap_usd=1,
        ended_at=timezone.now(),
    )
    for model, cases in passed.items():
        for place, outcome in enumerate(cases):
            CaseResult.objects.create(
                run=made, case_name=str(place), version=number, model=model, passed=outcome
            )
    return made


def move(prompt: Prompt) -> LabelMove:
    return releases.move_label(prompt=prompt, number=2)


def test_what_has_passed_may_move(prompt: Prompt) -> None:
    run(guard(prompt), {"fast": [True] * 9 + [False], "slow": [True] * 10})

    assert move(prompt).state == MoveState.DONE


def test_without_a_guarding_dataset_it_says_what_to_do(prompt: Prompt) -> None:
    Dataset.objects.create(prompt=prompt, name="not-guarding")

    with pytest.raises(PassedTestsNeeded, match="no dataset of this prompt guards releases"):
        move(prompt)


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.CAPPED, RunState.FAILED])
def test_a_run_counts_when_it_is_finished(prompt: Prompt, state: RunState) -> None:
    run(guard(prompt), {"fast": [True]}, state=state)

    with pytest.raises(PassedTestsNeeded, match="“smoke” has no finished run with version 2"):
        move(prompt)


def test_a_run_of_another_version_says_nothing(prompt: Prompt) -> None:
    run(guard(prompt), {"fast": [True]}, number=12)

    with pytest.raises(PassedTestsNeeded, match="no finished run"):
        move(prompt)


def test_the_worst_model_counts_and_the_error_names_rates_and_dataset(prompt: Prompt) -> None:
    run(guard(prompt), {"fast": [True] * 8 + [False] * 1, "slow": [True] * 10})

    with pytest.raises(PassedTestsNeeded) as refused:
        move(prompt)

    assert refused.value.message == (
        "Version 2 passed 88.8% of the dataset “smoke” with fast. “production” needs 90%."
    )


def test_every_guarding_dataset_counts(prompt: Prompt) -> None:
    run(guard(prompt), {"fast": [True]})
    run(guard(prompt, "tone"), {"fast": [False]})

    with pytest.raises(PassedTestsNeeded, match="0% of the dataset “tone”"):
        move(prompt)


def test_the_last_run_counts(prompt: Prompt) -> None:
    dataset = guard(prompt)
    old = run(dataset, {"fast": [True]})
    DatasetRun.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=1))
    run(dataset, {"fast": [False]})

    with pytest.raises(PassedTestsNeeded):
        move(prompt)


def test_cases_without_checks_say_nothing_and_errors_are_failures(
    prompt: Prompt, ada: User
) -> None:
    dataset = guard(prompt)
    done = run(dataset, {"fast": [True, None]})
    assert move(prompt).state == MoveState.DONE
    CaseResult.objects.filter(run=done, passed=None).update(error="timeout")
    releases.rollback(prompt=prompt, by=ada)

    with pytest.raises(PassedTestsNeeded, match="50% of the dataset"):
        move(prompt)


def test_a_run_in_which_nothing_was_checked_passes_nothing(prompt: Prompt) -> None:
    run(guard(prompt), {"fast": [None]})

    with pytest.raises(PassedTestsNeeded, match="where no case has checks"):
        move(prompt)


def test_a_proposal_needs_them_too_and_so_does_what_is_due(prompt: Prompt, ada: User) -> None:
    with pytest.raises(PassedTestsNeeded):
        releases.propose_move(prompt=prompt, number=2, by=ada)
    done = run(guard(prompt), {"fast": [True]})
    due_at = timezone.now() + timedelta(hours=1)
    scheduled = releases.schedule(prompt=prompt, number=2, by=ada, due_at=due_at)
    CaseResult.objects.filter(run=done).update(passed=False)
    LabelMove.objects.filter(pk=scheduled.pk).update(due_at=timezone.now())

    releases.move_due()

    scheduled.refresh_from_db()
    assert scheduled.state == MoveState.FAILED
    assert "passed 0%" in scheduled.failure


def test_a_rollback_needs_no_tests(prompt: Prompt, ada: User) -> None:
    run(guard(prompt), {"fast": [True]})
    move(prompt)

    back = releases.rollback(prompt=prompt, by=ada)

    assert (back.state, back.version.number) == (MoveState.DONE, 1)
