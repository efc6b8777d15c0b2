"""Staff plan, start, read, steer, stop and promote experiments in the admin."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from prompts.admin import experiment_pages
from prompts.content import Variable
from prompts.experiments import plans, services
from prompts.experiments.watching import watch
from prompts.models import Experiment, Prompt
from tests.experiments_support import (
    CHALLENGER,
    CONTROL,
    add_version,
    begun_earlier,
    draft,
    make_prompt,
    started,
)
from tests.experiments_usage import Calls, spread
from tests.usage_support import used


@pytest.fixture
def prompt(db: None) -> Prompt:
    return make_prompt(Organization.objects.create(name="Acme", slug="acme"))


@pytest.fixture
def boss(db: None, client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:prompts_experiment_{name}", args=args)


def filled(*arms: dict[str, Any], ramp: Any = (), **fields: Any) -> dict[str, Any]:
    """Return what the browser sends."""
    form: dict[str, Any] = {
        **{"name": "brevity", "hypothesis": "", "label": "production", "unit": "user"},
        **{"primary_metric": "cost", "smallest_effect": "5", "guardrail_metric": ""},
        **{"guardrail_limit": "10", **fields},
    }
    for prefix, rows, shown in (("arms", arms, 2), ("ramp", ramp, 0)):
        form |= {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": shown}
        for number, row in enumerate(rows):
            form |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return form


A = {"name": "A", "version": 1, "weight": 1, "model": "", "settings": ""}
B = {**A, "name": "B", "version": 2}


def test_a_plan_is_made_from_the_prompts_versions(
    client: Client, boss: User, prompt: Prompt
) -> None:
    chosen = client.get(page("add")).content.decode()
    assert f'<option value="{prompt.pk}">greeting (Acme)' in chosen
    address = f"{page('add')}?prompt={prompt.pk}"
    shown = client.get(address).content.decode()
    assert 'value="A"' in shown
    assert '<option value="2" selected>' in shown

    challenger = {**B, "weight": 3, "model": "small", "settings": '{"temperature": 0.2}'}
    sent = filled(
        A,
        challenger,
        ramp=[{"hours": 0, "percent": 10}, {"hours": 24, "percent": 100}],
        guardrail_metric="errors",
    )
    response = client.post(address, sent)

    made = Experiment.objects.get()
    assert response["Location"] == page("change", made.pk)
    plan = plans.plan_of(made)
    assert [arm.is_control for arm in plan.arms] == [True, False]
    assert (plan.arms[1].weight, plan.arms[1].model) == (3, "small")
    assert plan.arms[1].settings.temperature == 0.2
    assert [(step.hours, step.percent) for step in plan.ramp] == [(0, 10), (24, 100)]
    assert (plan.smallest_effect, plan.guardrail_limit) == (0.05, 0.1)
    assert made.created_by == boss


def test_without_a_prompt_the_page_says_what_to_do(client: Client, boss: User) -> None:
    assert "Nothing has been compared yet" in client.get(page("changelist")).content.decode()
    assert "Write one first" in client.get(page("add")).content.decode()


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (filled(A, {**B, "name": "A"}), "Two arms have the name “A”"),
        (filled(A, {**B, "settings": "{"}), "These are no settings"),
        (filled(A, {**B, "settings": '{"colour": 1}'}), "These are no settings"),
        (filled(A, B, name="two words"), "Some fields are wrong"),
        (filled(A, B, ramp=[{"hours": 3, "percent": 5}]), "first step of the ramp"),
    ],
)
def test_what_is_wrong_with_a_plan_is_shown(
    client: Client, boss: User, prompt: Prompt, form: dict[str, Any], problem: str
) -> None:
    for address in (f"{page('add')}?prompt={prompt.pk}", page("change", draft(prompt).pk)):
        response = client.post(address, form)

        assert response.status_code == 200
        assert problem in response.content.decode()


def ask_as(prompt: Prompt, *, users: int, surface: str = "api") -> None:
    """Have so many users ask once, each at a cost of their own."""
    for number in range(users):
        used(
            prompt.organization,
            request_id=f"{surface}-{users}-{number}",
            user_id=number,
            prompt_name="greeting",
            surface=surface,
            cost_usd=f"0.0{number + 10}",
        )


def test_a_draft_is_changed_and_shows_what_it_takes(
    client: Client, boss: User, prompt: Prompt
) -> None:
    experiment = draft(prompt)
    address = page("change", experiment.pk)
    ask_as(prompt, users=40, surface="playground")
    ask_as(prompt, users=29)
    assert "Too little is known yet of the cost" in client.get(address).content.decode()
    ask_as(prompt, users=40)

    response = client.post(address, filled(A, B, name="shorter"), follow=True)

    shown = response.content.decode()
    assert "Saved." in shown
    assert "To see a difference of 5% in cost, it takes about" in shown
    assert "days, if as many come as lately" in shown
    assert Experiment.objects.get().name == "shorter"


def test_a_draft_warns_of_versions_that_calls_do_not_suit(
    client: Client, boss: User, prompt: Prompt
) -> None:
    add_version(prompt, "Hello {{ name }}.", Variable("name"))
    add_version(prompt, "Hello {{ nick }}.", Variable("nick"))
    alike, unlike = draft(prompt), [{**CONTROL, "version": 3}, {**CHALLENGER, "version": 4}]
    other = draft(prompt, name="other", arms=unlike)

    assert "calls with" not in client.get(page("change", alike.pk)).content.decode()
    shown = client.get(page("change", other.pk)).content.decode()
    assert "B asks for nick, and A does not: calls without it fail." in shown
    assert "B does not know name, as A does: calls with it fail." in shown


def test_arms_and_steps_are_added_and_removed(client: Client, boss: User, prompt: Prompt) -> None:
    experiment = draft(prompt, ramp=[{"hours": 0, "percent": 5}])
    address = page("change", experiment.pk)
    removed = [{"hours": 0, "percent": 5, "DELETE": "on"}]

    client.post(address, filled(A, B, {**B, "name": "C"}) | {"ramp-INITIAL_FORMS": 0})
    assert [arm.name for arm in experiment.arms.all()] == ["A", "B", "C"]
    gone = filled(A, B, {**B, "name": "C", "DELETE": "on"}, ramp=removed)
    client.post(address, gone | {"arms-INITIAL_FORMS": 3, "ramp-INITIAL_FORMS": 1})

    assert [arm.name for arm in experiment.arms.all()] == ["A", "B"]
    assert Experiment.objects.get().ramp == []


def test_it_is_started_steered_and_stopped_by_buttons(
    client: Client, boss: User, prompt: Prompt
) -> None:
    experiment = draft(prompt)

    client.post(page("start", experiment.pk))
    shown = client.get(page("change", experiment.pk)).content.decode()
    assert "Nobody has been counted yet" in shown
    weights = {"weight-A": "1", "weight-B": "9", "ramp-TOTAL_FORMS": 0, "ramp-INITIAL_FORMS": 0}
    client.post(page("change", experiment.pk), weights)
    assert [arm.weight for arm in experiment.arms.all()] == [1, 9]
    client.post(page("stop", experiment.pk), {"reason": "Enough."})

    experiment.refresh_from_db()
    assert (experiment.state, experiment.stop_reason) == ("stopped", "Enough.")
    history = client.get(page("history", experiment.pk)).content.decode()
    assert "Stopped: Enough." in history


@pytest.mark.parametrize(
    ("weights", "problem"),
    [({"A": "0", "B": "0"}, "weight above 0"), ({"A": "-1", "B": "1"}, "Some fields are wrong")],
)
def test_a_course_that_cannot_be_taken_says_why(
    client: Client, boss: User, prompt: Prompt, weights: dict[str, str], problem: str
) -> None:
    experiment = started(prompt)
    sent = {f"weight-{name}": weight for name, weight in weights.items()}
    rows = {"ramp-TOTAL_FORMS": 0, "ramp-INITIAL_FORMS": 0}

    response = client.post(page("change", experiment.pk), {**sent, **rows})

    assert problem in response.content.decode()


def test_what_cannot_be_done_is_said(client: Client, boss: User, prompt: Prompt) -> None:
    started(prompt)
    other = draft(prompt, name="other")

    refused = client.post(page("start", other.pk), follow=True).content.decode()
    not_yet = client.post(page("promote", other.pk), {"arm": "B"}, follow=True).content.decode()

    assert "“brevity” is running on this prompt" in refused
    assert "no winner yet" in not_yet
    assert client.post(page("promote", other.pk), {"arm": "Z"}).status_code == 404


def test_the_results_say_in_words_and_figures_what_came_out(
    client: Client, boss: User, prompt: Prompt
) -> None:
    experiment = begun_earlier(started(prompt), hours=1)
    spread(Calls(experiment), 120)
    watch()

    shown = client.get(page("change", experiment.pk)).content.decode()
    listed = client.get(page("changelist")).content.decode()

    assert "B costs" in shown
    assert "certainly better" in shown
    assert '<svg class="interval interval-good"' in shown
    assert "Promote B" in shown
    assert "B costs" in listed
    assert "240" in listed


def test_the_winner_is_promoted_with_a_button(client: Client, boss: User, prompt: Prompt) -> None:
    experiment = started(prompt)

    response = client.post(page("promote", experiment.pk), {"arm": "B"}, follow=True)

    assert "“production” has the version of arm B." in response.content.decode()
    assert prompt.labels.get().version.number == 2
    assert Experiment.objects.get().state == "stopped"


def test_a_draft_is_deleted_and_what_has_run_is_not(
    client: Client, boss: User, prompt: Prompt
) -> None:
    running, other = started(prompt), draft(prompt, name="other")

    assert client.post(page("delete", running.pk), {"post": "yes"}).status_code == 403
    client.post(page("delete", other.pk), {"post": "yes"})

    assert Experiment.objects.get() == running


def test_permissions_say_who_may_do_what(client: Client, prompt: Prompt) -> None:
    experiment = started(prompt)
    reader = User.objects.create(username="reader", is_staff=True)
    client.force_login(reader)
    assert client.get(page("change", experiment.pk)).status_code == 403
    reader.user_permissions.set(Permission.objects.filter(codename="view_experiment"))

    shown = client.get(page("change", experiment.pk)).content.decode()

    assert "What it says" in shown
    assert "Promote" not in shown
    assert "Weights and ramp" not in shown
    assert client.get(page("add")).status_code == 403
    for name in ("start", "stop", "promote"):
        assert client.post(page(name, experiment.pk), {"arm": "B"}).status_code == 403
    assert client.post(page("change", experiment.pk), {}).status_code == 403
    reader.user_permissions.add(Permission.objects.get(codename="change_experiment"))
    assert client.post(page("promote", experiment.pk), {"arm": "B"}).status_code == 403


def test_the_list_asks_as_much_for_many_as_for_one(
    client: Client, boss: User, prompt: Prompt, django_assert_num_queries: Any
) -> None:
    draft(prompt)
    client.get(page("changelist"))
    with django_assert_num_queries(6):
        client.get(page("changelist"))
    for number in range(5):
        services.stop(experiment=started(prompt, name=f"e{number}"), reason="Enough.")

    with django_assert_num_queries(6):
        client.get(page("changelist"))


@pytest.mark.parametrize(
    ("usd", "said"), [(0.0000171, "$0.000017"), (0.0123, "$0.0123"), (1250.5, "$1,250.50")]
)
def test_a_cost_is_told_in_dollars_however_small(usd: float, said: str) -> None:
    assert experiment_pages.shown("cost", usd) == said
