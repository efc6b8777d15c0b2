"""Staff move, propose, confirm, schedule and roll back labels, and compare versions."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization, User
from llm.types import FunctionDefinition, Tool
from prompts import services
from prompts.content import MessageTemplate, ModelSettings, OutputSchema, PromptContent
from prompts.models import LabelMove, LabelRule, MoveState, Prompt, PromptVersion
from prompts.releases import services as releases

pytestmark = pytest.mark.django_db

LABELS = ("view_prompt", "change_promptlabel")


@pytest.fixture
def prompt(db: None) -> Prompt:
    """A prompt with two versions; the first is in production."""
    organization = Organization.objects.create(name="Acme", slug="acme")
    made = services.create_prompt(organization=organization, name="greeting")
    add(made, "Be kind.\nAnswer <b>briefly</b>.")
    add(made, "Be calm.\nAnswer <b>briefly</b>.", note="Calmer")
    releases.move_label(prompt=made, number=1)
    return made


@pytest.fixture
def boss(db: None, client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


@pytest.fixture
def second(db: None) -> Client:
    """Another of the staff, who may do everything."""
    browser = Client()
    browser.force_login(User.objects.create_superuser("second"))
    return browser


def add(prompt: Prompt, text: str, note: str = "") -> PromptVersion:
    content = PromptContent(messages=(MessageTemplate("system", text),))
    return services.add_version(prompt=prompt, content=content, note=note)


def page(name: str, prompt: Prompt, *more: Any) -> str:
    return reverse(f"admin:prompts_prompt_{name}", args=[prompt.pk, *more])


def protect(prompt: Prompt) -> None:
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)


def limited(*permissions: str) -> Client:
    user = User.objects.create(username="limited", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


def move(client: Client, prompt: Prompt, **more: str) -> str:
    """Send the form; return what comes back."""
    sent = {"number": "2", "label": "production", "note": "Calmer", "due_at": "", **more}
    return client.post(page("move_label", prompt), sent, follow=True).content.decode()


def in_production(prompt: Prompt) -> int:
    return prompt.labels.get(name="production").version.number


def test_a_label_is_moved_with_a_reason(client: Client, boss: User, prompt: Prompt) -> None:
    shown = client.get(page("move_label", prompt), {"number": "2"}).content.decode()
    assert "is version 1 now" in shown
    assert '<option value="2" selected>2: Calmer</option>' in shown
    other = client.get(page("move_label", prompt), {"number": "2", "label": ""}).content.decode()
    assert "is version 1 now" not in other

    answered = move(client, prompt)

    assert "Version 2 is now “production”." in answered
    assert prompt.label_moves.get(proposed_by=boss).note == "Calmer"
    history = client.get(page("history", prompt)).content.decode()
    assert "“production” to version 2, done: Calmer" in history


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        ({"number": "", "label": ""}, "This field is required."),
        ({"number": "7"}, "7 is not one of the available choices"),
        ({"label": "Loud"}, "A label has small letters"),
        ({"number": "1"}, "Version 1 is “production” already."),
        ({"due_at": "2020-01-01T10:00"}, "The time of a move is in the future."),
        ({"note": "x" * 301}, "at most 300 characters"),
    ],
)
def test_a_label_that_cannot_move_says_why(
    client: Client, boss: User, prompt: Prompt, sent: dict[str, str], problem: str
) -> None:
    assert problem in move(client, prompt, **sent)

    assert in_production(prompt) == 1


def test_a_second_person_confirms_on_the_page_of_the_prompt(
    client: Client, boss: User, second: Client, prompt: Prompt
) -> None:
    protect(prompt)
    assert (
        "A second person has to confirm" in client.get(page("move_label", prompt)).content.decode()
    )
    own = move(client, prompt)
    proposal = prompt.label_moves.get(state=MoveState.PROPOSED)
    assert "Proposed. Another of the staff has to confirm it." in own
    assert "Withdraw" in own
    assert ">Confirm<" not in own
    assert ">Confirm<" in second.get(page("change", prompt)).content.decode()
    confirm = page("decide_move", prompt, proposal.pk, "confirm")

    refused = client.post(confirm, follow=True).content.decode()
    answered = second.post(confirm, follow=True).content.decode()

    assert "Somebody else has to confirm" in refused
    assert "Version 2 is now “production”." in answered
    assert "confirmed by second" in answered
    assert in_production(prompt) == 2


@pytest.mark.parametrize(
    ("decision", "state"), [("refuse", MoveState.REFUSED), ("withdraw", MoveState.WITHDRAWN)]
)
def test_a_proposal_is_refused_or_withdrawn(
    client: Client, boss: User, second: Client, prompt: Prompt, decision: str, state: MoveState
) -> None:
    protect(prompt)
    move(client, prompt)
    proposal = prompt.label_moves.get(state=MoveState.PROPOSED)
    browser = client if decision == "withdraw" else second

    answered = browser.post(page("decide_move", prompt, proposal.pk, decision), follow=True)

    assert f"{state.label}: “production” stays where it is." in answered.content.decode()
    proposal.refresh_from_db()
    assert (proposal.state, in_production(prompt)) == (state, 1)
    again = browser.post(page("decide_move", prompt, proposal.pk, decision), follow=True)
    assert f"It is {state.label.lower()} already." in again.content.decode()


def test_there_are_no_other_decisions(client: Client, boss: User, prompt: Prompt) -> None:
    done = prompt.label_moves.get()

    assert client.post(page("decide_move", prompt, done.pk, "delete")).status_code == 404
    assert client.post(page("decide_move", prompt, done.pk + 1, "confirm")).status_code == 404
    assert client.get(page("decide_move", prompt, done.pk, "confirm")).status_code == 405


def test_a_move_is_scheduled_and_shown(client: Client, boss: User, prompt: Prompt) -> None:
    due_at = timezone.localtime() + timedelta(days=2)

    answered = move(client, prompt, due_at=due_at.strftime("%Y-%m-%dT%H:%M"))

    assert "“production” moves to version 2 on" in answered
    assert "Scheduled:" in answered
    assert prompt.label_moves.get(state=MoveState.SCHEDULED).due_at == due_at.replace(
        second=0, microsecond=0
    )


def test_one_click_rolls_back(client: Client, boss: User, prompt: Prompt) -> None:
    assert "Roll back" not in client.get(page("change", prompt)).content.decode()
    assert "Roll back to version 1" in move(client, prompt)

    answered = client.post(page("rollback", prompt), {"label": "production"}, follow=True)

    assert "Version 1 is now “production”." in answered.content.decode()
    assert "Roll back to version 2" in answered.content.decode()
    refused = client.post(page("rollback", prompt), {"label": "staging"}, follow=True)
    assert "has no version to go back to" in refused.content.decode()


def test_a_label_is_taken_away(client: Client, boss: User, prompt: Prompt) -> None:
    move(client, prompt, label="staging")

    answered = client.post(page("delete_label", prompt), {"label": "staging"}, follow=True)
    refused = client.post(page("delete_label", prompt), {"label": "production"}, follow=True)

    assert "The label “staging” is gone." in answered.content.decode()
    assert "“production” stays" in refused.content.decode()
    assert [label.name for label in prompt.labels.all()] == ["production"]


def test_the_history_says_who_when_and_why(client: Client, boss: User, prompt: Prompt) -> None:
    move(client, prompt)
    move(client, prompt, label="staging", note="To look at")

    everything = client.get(page("moves", prompt)).content.decode()
    staging = client.get(page("moves", prompt), {"label": "staging"}).content.decode()

    assert "version 1 to 2" in everything
    assert "by a program" in everything
    assert "To look at" in staging
    assert "Calmer" not in staging


def test_words_that_changed_are_marked_for_eyes_and_ears(
    client: Client, boss: User, prompt: Prompt
) -> None:
    shown = client.get(page("diff", prompt)).content.decode()

    assert '<del><span class="visually-hidden">[removed: </span>kind<' in shown
    assert '<ins><span class="visually-hidden">[added: </span>calm<' in shown
    assert "Answer &lt;b&gt;briefly&lt;/b&gt;." in shown
    back = client.get(page("diff", prompt), {"from": "2", "to": "1"}).content.decode()
    assert "[added: </span>kind<" in back
    same = client.get(page("diff", prompt), {"from": "2", "to": "2"}).content.decode()
    assert "Both say the same." in same
    assert client.get(page("diff", prompt), {"from": "9"}).status_code == 404


def test_without_versions_and_moves_pages_say_what_to_do(client: Client, boss: User) -> None:
    organization = Organization.objects.create(name="Acme", slug="acme")
    empty = services.create_prompt(organization=organization, name="empty")

    assert "Write the first" in client.get(page("diff", empty)).content.decode()
    assert "has moved yet" in client.get(page("moves", empty)).content.decode()
    assert "There is no version yet" in client.get(page("change", empty)).content.decode()


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (("view_prompt",), {"moves"}),
        ((*LABELS,), {"moves", "move_label", "rollback", "withdraw"}),
        (("view_prompt", "change_labelmove"), {"moves", "confirm", "refuse"}),
        (("view_prompt", "delete_promptlabel"), {"moves", "delete_label"}),
        (("view_prompt", "view_promptversion"), {"moves", "diff"}),
    ],
)
def test_each_right_opens_what_is_its_own(
    prompt: Prompt, permissions: tuple[str, ...], allowed: set[str]
) -> None:
    browser = limited(*permissions)
    done = prompt.label_moves.get()
    addresses = {name: page(name, prompt) for name in ("move_label", "rollback", "delete_label")}
    for decision in ("confirm", "refuse", "withdraw"):
        addresses[decision] = page("decide_move", prompt, done.pk, decision)
    opened = {name for name, at in addresses.items() if browser.post(at).status_code != 403}
    opened |= {
        one for one in ("moves", "diff") if browser.get(page(one, prompt)).status_code == 200
    }

    assert opened == allowed
    assert in_production(prompt) == 1


def test_who_has_no_right_sees_no_buttons(prompt: Prompt) -> None:
    move(limited("view_prompt"), prompt)
    releases.move_label(prompt=prompt, number=2)
    protect(prompt)
    releases.propose_move(prompt=prompt, number=1, by=User.objects.create(username="ada"))

    shown = Client()
    shown.force_login(User.objects.get(username="limited"))
    text = shown.get(page("change", prompt)).content.decode()

    assert "Waits for a second person" in text
    for button in ("Confirm", "Refuse", "Withdraw", "Roll back", "Make production"):
        assert f">{button}" not in text


def test_two_hundred_versions_are_shown_in_pages_with_few_questions(
    client: Client, boss: User, prompt: Prompt, django_assert_max_num_queries: Any
) -> None:
    content = PromptContent(messages=(MessageTemplate("system", "x" * 1000),))
    PromptVersion.objects.bulk_create(
        PromptVersion(prompt=prompt, number=number, content_hash="x", **content.stored())
        for number in range(3, 203)
    )
    LabelMove.objects.bulk_create(
        LabelMove(prompt=prompt, label="label-0", version=version, state=MoveState.DONE)
        for version in prompt.versions.newest_first()[:100]
    )
    for number in range(5):
        releases.move_label(prompt=prompt, number=2 + number, name=f"label-{number}")

    with django_assert_max_num_queries(13):
        shown = client.get(page("change", prompt)).content.decode()
    with django_assert_max_num_queries(8):
        client.get(page("moves", prompt))
    with django_assert_max_num_queries(10):
        client.get(page("diff", prompt))

    assert shown.count('<article class="prompt-version">') == 20
    assert "Page 1 of 11" in shown
    assert "Version 1<" in client.get(page("change", prompt), {"p": "11"}).content.decode()


def test_a_rule_is_made_for_a_label(client: Client, boss: User, prompt: Prompt) -> None:
    address = reverse("admin:prompts_labelrule_add")
    sent = {"organization": prompt.organization.pk, "needs_second_person": "on"}

    wrong = client.post(address, {**sent, "label": "Loud"}).content.decode()
    client.post(address, {**sent, "label": "production", "required_pass_rate": "0.9"})

    assert "A label has small letters" in wrong
    assert LabelRule.objects.get().needs_second_person
    card = client.get(page("change", prompt)).content.decode()
    assert "A move needs a second person and passed tests." in " ".join(card.split())


def test_all_moves_are_listed_for_those_who_may_see_them(
    client: Client, boss: User, prompt: Prompt, django_assert_max_num_queries: Any
) -> None:
    for number in (2, 1, 2, 1):
        releases.move_label(prompt=prompt, number=number, by=boss)
    address = reverse("admin:prompts_labelmove_changelist")

    with django_assert_max_num_queries(13):
        shown = client.get(address).content.decode()

    assert "2 to 1" in shown
    assert client.get(address, {"state__exact": "proposed"}).status_code == 200
    assert LabelMove.objects.count() == 5


def test_everything_that_a_version_says_can_be_read(
    client: Client, boss: User, prompt: Prompt
) -> None:
    content = PromptContent(
        messages=(MessageTemplate("system", "Hello"),),
        settings=ModelSettings(temperature=0.25),
        tools=(Tool(function=FunctionDefinition(name="look_up")),),
        output_schema=OutputSchema("answer", {"type": "object"}),
        locales={"de": (MessageTemplate("system", "Guten Tag"),)},
    )
    version = services.add_version(prompt=prompt, content=content)

    address = reverse("admin:prompts_promptversion_change", args=[version.pk])
    shown = client.get(address).content.decode()

    for said in ("Hello", "<h3>de</h3>", "Guten Tag", "0.25", "look_up", "&quot;object&quot;"):
        assert said in shown
