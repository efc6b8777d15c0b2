"""Staff draft, start, steer, stop and promote experiments."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection

from accounts.models import Organization, User
from core.errors import AppError
from prompts.content import ModelSettings
from prompts.experiments import plans, services
from prompts.experiments.errors import AnotherIsRunning
from prompts.models import Experiment, LabelRule, MoveState, Prompt
from prompts.releases.errors import PassedTestsNeeded, SecondPersonNeeded
from tests.experiments_support import (
    CHALLENGER,
    CONTROL,
    begun_earlier,
    changed,
    draft,
    make_prompt,
    started,
)

SAME_WORDS = {"name": "B", "version": 1, "model": "small"}


@pytest.fixture
def prompt(db: None) -> Prompt:
    return make_prompt(Organization.objects.create(name="Acme", slug="acme"))


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss")


def arm(experiment: Experiment, name: str) -> Any:
    return experiment.arms.get(name=name)


def label_of(prompt: Prompt, name: str = "production") -> int:
    return prompt.labels.get(name=name).version.number


def test_a_draft_keeps_everything_that_was_planned(prompt: Prompt) -> None:
    arms = [CONTROL, {**CHALLENGER, "weight": 3, "model": "small", "settings": {"max_tokens": 9}}]
    fields = {
        "hypothesis": "Brief is cheaper.",
        "unit": "key",
        "primary_metric": "output_tokens",
        "guardrail_metric": "thumbs",
        "guardrail_limit": 0.1,
        "ramp": [{"hours": 0, "percent": 10}, {"hours": 24, "percent": 100}],
    }

    experiment = draft(prompt, arms=arms, **fields)

    plan = plans.plan_of(Experiment.objects.get(pk=experiment.pk))
    assert plan == plans.read({"name": "brevity", **fields, "arms": arms})
    assert (experiment.state, len(experiment.salt)) == ("draft", 32)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"arms": [CONTROL, {**CHALLENGER, "version": 9}]}, "no version 9"),
        ({"arms": [CONTROL, {**CHALLENGER, "name": "A"}]}, "Two arms have the name “A”"),
        ({"arms": [CONTROL, {**CHALLENGER, "is_control": True}]}, "not several"),
        ({"arms": [{**CONTROL, "weight": -1}]}, "The experiment is wrong"),
        ({"arms": [{**CONTROL, "settings": {"colour": "red"}}]}, "The experiment is wrong"),
        ({"label": "Not a label"}, "no label of this name"),
        ({"name": "two words"}, "The experiment is wrong"),
        ({"ramp": [{"hours": 5, "percent": 50}]}, "first step of the ramp is at hour 0"),
        (
            {"ramp": [{"hours": 0, "percent": 50}, {"hours": 5, "percent": 50}]},
            "later and higher",
        ),
        ({"ramp": [{"hours": 0, "percent": 500}]}, "The experiment is wrong"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(
    prompt: Prompt, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(AppError, match=problem) as caught:
        draft(prompt, **fields)

    assert caught.value.http_status == 400
    assert not Experiment.objects.exists()


def test_a_name_is_taken_once_on_a_prompt(prompt: Prompt) -> None:
    draft(prompt)
    other = draft(prompt, name="other")

    with pytest.raises(AppError, match="already has an experiment “brevity”"):
        draft(prompt)
    with pytest.raises(AppError, match="already has an experiment “brevity”"):
        changed(other, name="brevity")
    assert draft(make_prompt(prompt.organization, "farewell")).name == "brevity"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"arms": [CONTROL]}, "two arms at least"),
        ({"arms": [{**CONTROL, "is_control": False}, CHALLENGER]}, "One arm is the control"),
        ({"arms": [{**CONTROL, "weight": 0}, {**CHALLENGER, "weight": 0}]}, "weight above 0"),
        ({"label": "staging"}, "carries the label “staging”"),
    ],
)
def test_a_draft_that_is_not_complete_is_kept_and_not_started(
    prompt: Prompt, fields: dict[str, Any], problem: str
) -> None:
    experiment = draft(prompt, **fields)

    with pytest.raises(AppError, match=problem):
        services.start(experiment=experiment)

    assert Experiment.objects.get().state == "draft"


def test_one_experiment_runs_on_a_prompt_whatever_the_label(prompt: Prompt) -> None:
    running = started(prompt)
    other = draft(prompt, name="other")

    with pytest.raises(AnotherIsRunning, match="“brevity” is running"):
        services.start(experiment=other)
    services.stop(experiment=running, reason="Enough.")

    assert services.start(experiment=other).state == "running"
    assert started(make_prompt(prompt.organization, "farewell")).state == "running"


def test_while_it_runs_only_weights_and_ramp_change(prompt: Prompt) -> None:
    experiment = started(prompt, ramp=[{"hours": 0, "percent": 10}])

    changed(experiment, weights={"A": 1, "B": 9}, ramp=[{"hours": 0, "percent": 20}])

    assert [one.weight for one in experiment.arms.all()] == [1, 9]
    for fields in ({"unit": "key"}, {"primary_metric": "ttft"}, {"name": "another"}):
        with pytest.raises(AppError, match="only the weights and the ramp"):
            changed(experiment, **fields)
    with pytest.raises(AppError, match="weight above 0"):
        changed(experiment, weights={"A": 0, "B": 0})


def test_a_ramp_that_runs_takes_nobody_out(prompt: Prompt) -> None:
    steps = [{"hours": 0, "percent": 10}, {"hours": 5, "percent": 50}]
    experiment = begun_earlier(started(prompt, ramp=steps), hours=6)

    with pytest.raises(AppError, match="who is in stays in"):
        changed(experiment, ramp=[{"hours": 0, "percent": 10}])

    changed(experiment, ramp=[*steps, {"hours": 9, "percent": 90}])
    changed(experiment, ramp=[])
    assert Experiment.objects.get().ramp == []


def test_a_draft_changes_as_a_whole(prompt: Prompt) -> None:
    experiment = draft(prompt)
    plan = plans.read({"name": "other", "unit": "conversation", "arms": [CHALLENGER]})

    services.edit(experiment=experiment, plan=plan)

    assert plans.plan_of(Experiment.objects.get()) == plan


def test_a_stopped_experiment_keeps_its_figures_and_changes_no_more(prompt: Prompt) -> None:
    experiment = services.stop(experiment=started(prompt), reason=" Enough. ")

    assert (experiment.state, experiment.stop_reason) == ("stopped", "Enough.")
    assert experiment.results is not None
    for refused in (
        lambda: changed(experiment, weights={"A": 5}),
        lambda: services.start(experiment=experiment),
        lambda: services.stop(experiment=experiment, reason="Again."),
        lambda: services.delete(experiment=experiment),
    ):
        with pytest.raises(AppError) as caught:
            refused()
        assert caught.value.http_status == 409


def test_only_drafts_are_deleted(prompt: Prompt) -> None:
    services.delete(experiment=draft(prompt))
    running = started(prompt)

    with pytest.raises(AppError, match="Only a draft can be deleted"):
        services.delete(experiment=running)

    assert Experiment.objects.get() == running


def test_the_winner_gets_the_label_and_the_experiment_ends(prompt: Prompt, boss: User) -> None:
    experiment = started(prompt)

    move = services.promote(experiment=experiment, arm=arm(experiment, "B"), promoted_by=boss)

    assert move is not None
    assert (move.state, label_of(prompt)) == (MoveState.DONE, 2)
    assert Experiment.objects.get().stop_reason == "Arm B was promoted."


def test_control_may_win_and_nothing_moves(prompt: Prompt, boss: User) -> None:
    experiment = started(prompt)

    assert (
        services.promote(experiment=experiment, arm=arm(experiment, "A"), promoted_by=boss) is None
    )

    assert (label_of(prompt), Experiment.objects.get().state) == (1, "stopped")


def test_a_winner_with_settings_of_its_own_becomes_a_version(prompt: Prompt, boss: User) -> None:
    challenger = {**CHALLENGER, "model": "small", "settings": {"max_tokens": 9}}
    experiment = started(prompt, arms=[CONTROL, challenger])
    services.stop(experiment=experiment, reason="Enough.")

    for _ in range(2):  # the second time it is there already
        services.promote(experiment=experiment, arm=arm(experiment, "B"), promoted_by=boss)

    version = prompt.labels.get().version
    assert (version.number, version.author) == (3, boss)
    assert version.content.settings == ModelSettings(temperature=0.5, max_tokens=9, model="small")
    assert prompt.versions.count() == 3


def test_a_winner_waits_for_a_second_person_where_the_label_needs_one(
    prompt: Prompt, boss: User
) -> None:
    experiment = started(prompt)
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)

    move = services.promote(experiment=experiment, arm=arm(experiment, "B"), promoted_by=boss)

    assert move is not None
    assert (move.state, label_of(prompt)) == (MoveState.PROPOSED, 1)


def test_who_planned_an_experiment_does_not_start_it_where_the_label_needs_a_second_person(
    prompt: Prompt, boss: User
) -> None:
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)
    plan = plans.read({"name": "brevity", "arms": [CONTROL, CHALLENGER]})
    experiment = services.create(prompt=prompt, plan=plan, created_by=boss)
    other = User.objects.create_superuser("other")

    for person in (boss, None):
        with pytest.raises(SecondPersonNeeded):
            services.start(experiment=experiment, started_by=person)
    begun = services.start(experiment=experiment, started_by=other)

    assert begun.state == "running"


def test_who_rewrites_a_draft_has_planned_it(prompt: Prompt, boss: User) -> None:
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)
    other = User.objects.create_superuser("other")
    plan = plans.read({"name": "brevity", "arms": [CONTROL, CHALLENGER]})
    experiment = services.create(prompt=prompt, plan=plan, created_by=other)
    heavier = plans.read({"name": "brevity", "arms": [CONTROL, {**CHALLENGER, "weight": 9}]})
    services.edit(experiment=experiment, plan=heavier, edited_by=boss)

    with pytest.raises(SecondPersonNeeded):
        services.start(experiment=experiment, started_by=boss)


def test_no_arm_says_what_has_not_passed_the_tests_that_the_label_needs(prompt: Prompt) -> None:
    LabelRule.objects.create(organization=prompt.organization, required_pass_rate=Decimal("0.9"))

    with pytest.raises(PassedTestsNeeded):
        started(prompt)
    same = services.start(experiment=draft(prompt, name="same", arms=[CONTROL, SAME_WORDS]))

    assert same.state == "running"


def test_a_draft_has_no_winner(prompt: Prompt, boss: User) -> None:
    experiment = draft(prompt)

    with pytest.raises(AppError, match="no winner yet"):
        services.promote(experiment=experiment, arm=arm(experiment, "B"), promoted_by=boss)


def test_who_did_what_is_written_down(prompt: Prompt, boss: User) -> None:
    plan = plans.read({"name": "brevity", "arms": [CONTROL, CHALLENGER]})
    experiment = services.create(prompt=prompt, plan=plan, created_by=boss)
    steered = plans.read({"name": "brevity", "arms": [CONTROL, {**CHALLENGER, "weight": 4}]})
    services.start(experiment=experiment, started_by=boss)
    services.edit(experiment=experiment, plan=steered, edited_by=boss)
    services.stop(experiment=experiment, reason="Enough.", stopped_by=boss)

    history = LogEntry.objects.filter(user=boss).order_by("pk")
    assert [entry.get_change_message() for entry in history] == [
        "Drafted.",
        "Started.",
        "Changed arms: A (version 1, weight 1), B (version 2, weight 4).",
        "Stopped: Enough.",
    ]


@pytest.mark.django_db(transaction=True)
def test_of_two_starts_at_once_one_is_refused() -> None:
    prompt = make_prompt(Organization.objects.create(name="Acme", slug="acme"))
    drafts = [draft(prompt, name=name) for name in ("one", "two")]

    def begin(experiment: Experiment) -> str:
        try:
            return services.start(experiment=experiment).state
        except AnotherIsRunning as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(begin, drafts))

    assert found == ["experiment_another_running", "running"]
