"""The page of the playground: whom it is for, what it says before a run, and cases it keeps."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from accounts.models import Membership
from billing.models import Budget, UsageRecord
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Case, Prompt
from prompts.playground import running
from tests.chat_support import Person
from tests.playground_support import RIGHTS, fields, make_prompt, make_staff
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]

EVERYTHING = (*RIGHTS, "add_case", "add_dataset")


@pytest.fixture
def staff(alice: Person) -> Person:
    """Alice, who may write versions and cases."""
    make_staff(alice, *EVERYTHING)
    return alice


@pytest.fixture
def prompt(staff: Person) -> Prompt:
    return make_prompt(staff)


def shown(staff: Person, prompt: Prompt, query: str = "") -> str:
    response = staff.browser.get(f"/admin/prompts/prompt/{prompt.pk}/playground/{query}")
    assert response.status_code == 200
    return response.content.decode()


def sent(staff: Person, prompt: Prompt, action: str, form: dict[str, str]) -> str:
    address = f"/admin/prompts/prompt/{prompt.pk}/playground/"
    response = staff.browser.post(address, {**form, "action": action})
    assert response.status_code == 200
    return response.content.decode()


def test_it_begins_with_the_newest_versions_or_those_asked_for(
    staff: Person, prompt: Prompt
) -> None:
    first = shown(staff, prompt)
    asked = shown(staff, prompt, "?version=1&version=9&version=x&version=" + "9" * 5_000)

    assert first.count(" selected>1 · production<") == first.count(" selected>2<") == 1
    assert asked.count(" selected>1 · production<") == 1
    assert asked.count(" selected>2<") == 0
    assert 'name="variable-name"' in first


def test_without_a_version_it_says_what_to_do_next(staff: Person) -> None:
    empty = services.create_prompt(organization=staff.organization, name="empty")

    assert "Write the first" in shown(staff, empty)


@pytest.mark.parametrize("rights", [(), ("view_prompt",), ("add_promptversion",)])
def test_it_is_for_those_who_may_write_versions(
    staff: Person, prompt: Prompt, rights: tuple[str, ...]
) -> None:
    make_staff(staff, *rights)

    for ask in (staff.browser.get, staff.browser.post):
        assert ask(f"/admin/prompts/prompt/{prompt.pk}/playground/").status_code == 403


def test_staff_who_are_no_members_are_told_why_they_cannot_spend(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    vendor.serve()
    Membership.objects.filter(user=staff.user).delete()

    page = sent(staff, prompt, "run", fields((1, "test-model"), name="Ada"))

    assert "paid by Acme, and you are not a member" in page
    assert not UsageRecord.objects.exists()


def test_a_run_without_a_script_shows_all_answers(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    vendor.script(Answer(text="<b>Hi</b>"))
    vendor.serve()

    page = sent(staff, prompt, "run", fields((1, "test-model"), (2, "test-model"), name="Ada"))

    assert page.count("&lt;b&gt;Hi&lt;/b&gt;") == 2
    assert "<b>Hi</b>" not in page
    assert "Together:" in page
    tags = [record.tags for record in UsageRecord.objects.all()]
    assert tags == [["playground"], ["playground"]]


def test_a_run_without_a_script_stops_what_takes_too_long(
    staff: Person, prompt: Prompt, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MOST_SECONDS", 0.2)
    vendor.script(Answer(gate=Gate(), gate_after=1))
    vendor.serve()

    page = sent(staff, prompt, "run", fields((1, "test-model"), name="Ada"))

    assert "Stopped" in page
    assert not UsageRecord.objects.exclude(state="settled").exists()


def test_the_cost_is_told_before_with_what_is_left(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    vendor.serve()
    budgets: list[dict[str, Any]] = [
        {"name": "Hers", "user": staff.user},
        {"name": "For playing", "tag": "playground"},
        {"name": "For other words", "prompt_name": "other"},
    ]
    for budget in budgets:
        Budget.objects.create(organization=staff.organization, limit_usd=Decimal(5), **budget)
    form = fields((1, "test-model"), name="Ada") | {"columns-0-max_tokens": "1000"}

    page = sent(staff, prompt, "update", form)

    assert "A run costs at most <strong>$0.002" in page
    assert "Hers: $5.00 of $5.00" in page
    assert "For playing: $5.00 of $5.00" in page
    assert "For other words" not in page
    assert not UsageRecord.objects.exists()


def test_a_model_without_a_price_is_said_to_have_none(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    vendor.serve(prices_usd=None)

    page = sent(staff, prompt, "update", fields((1, "test-model"), name="Ada"))

    assert "nobody knows what a run costs at most" in page


def test_only_a_button_marks_what_is_wrong(staff: Person) -> None:
    made = services.create_prompt(organization=staff.organization, name="typed")
    content = PromptContent(
        messages=(MessageTemplate("system", "{{ count }}"),),
        variables=(Variable("count", type="number"),),
    )
    services.add_version(prompt=made, content=content)
    form = fields((1, "demo-small"), count="")

    assert "errorlist" not in sent(staff, made, "update", form)
    assert "This needs a value." in sent(staff, made, "check", form)
    assert "errorlist" in sent(staff, made, "check", form)


CASE = {
    "case-dataset": "greetings",
    "case-name": "Ada",
    "case-check_kind": "equals",
    "case-expected": "Hello\r\nAda",
}


def test_values_become_a_case_of_a_new_dataset(staff: Person, prompt: Prompt) -> None:
    form = fields((1, "demo-small"), name="Ada") | CASE | {"locale": "de"}

    page = sent(staff, prompt, "save", form)

    case = Case.objects.select_related("dataset").get()
    assert (case.dataset.prompt, case.dataset.name, case.name) == (prompt, "greetings", "Ada")
    assert (case.variables, case.locale) == ({"name": "Ada"}, "de")
    assert case.messages == [{"role": "user", "content": "Where is it?"}]
    assert case.checks == [{"kind": "equals", "text": "Hello\nAda", "ignores_case": False}]
    assert "is saved in the dataset" in page
    assert LogEntry.objects.filter(user=staff.user).exists()


def test_a_case_needs_the_rights_of_datasets(staff: Person, prompt: Prompt) -> None:
    form = fields((1, "demo-small"), name="Ada") | CASE

    for rights in (RIGHTS, (*RIGHTS, "add_case")):
        make_staff(staff, *rights)
        assert "You may not add cases" in sent(staff, prompt, "save", form)
    assert not Case.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"case-expected": ""}, "Write what the answer must be."),
        ({"case-dataset": "no such name"}, "valid “slug”"),
        ({"case-dataset": ""}, "This field is required."),
        ({"variable-name": "\0"}, "name: Null characters"),
    ],
)
def test_a_case_that_is_wrong_says_where(
    staff: Person, prompt: Prompt, wrong: dict[str, str], said: str
) -> None:
    form = fields((1, "demo-small"), name="Ada") | CASE | wrong

    assert said in sent(staff, prompt, "save", form)
    assert not Case.objects.exists()
