"""Staff write cases, import them, run them and read what came of it in the admin."""

import io
import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from prompts.models import Case, CaseResult, Dataset, DatasetRun, Prompt, RunState
from prompts.testing import datasets
from tests.testing_support import GOODBYE, HELLO, MODEL, make_dataset, make_prompt, ran
from tests.vendor import FakeVendor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("impatient_calls"),
]


@pytest.fixture
def prompt(acme: Organization, vendor: FakeVendor) -> Prompt:
    vendor.serve(MODEL)
    return make_prompt(acme)


@pytest.fixture
def boss(acme: Organization, client: Client) -> User:
    user = User.objects.create_superuser("boss")
    user.organizations.add(acme)
    client.force_login(user)
    return user


def page(model: str, name: str, *args: Any) -> str:
    return reverse(f"admin:prompts_{model}_{name}", args=args)


def filled(*checks: dict[str, Any], said: str = "", **fields: Any) -> dict[str, Any]:
    """Return what the browser sends of a case."""
    form: dict[str, Any] = {"name": "", "locale": "", "other": "", "variable-name": "Ada"}
    form |= {"messages-TOTAL_FORMS": 1, "messages-INITIAL_FORMS": 1}
    form |= {"messages-0-role": "user", "messages-0-content": said}
    form |= {"checks-TOTAL_FORMS": len(checks), "checks-INITIAL_FORMS": 0}
    for number, check in enumerate(checks):
        form |= {f"checks-{number}-{name}": value for name, value in check.items()}
    return form | fields


def test_a_dataset_is_made_and_leads_on_to_its_cases(
    client: Client, boss: User, prompt: Prompt
) -> None:
    sent = {"prompt": prompt.pk, "name": "smoke", "guards_releases": "on", "_save": "Save"}

    response = client.post(page("dataset", "add"), sent)

    made = Dataset.objects.get()
    assert response["Location"] == page("dataset", "change", made.pk)
    shown = client.get(response["Location"]).content.decode()
    assert "There are no cases yet" in shown
    assert "Nothing has been run yet" in shown
    assert "smoke" in client.get(page("dataset", "changelist")).content.decode()


CHECKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"kind": "contains", "value": "Hi\r\nthere", "ignores_case": "on"},
        {"kind": "contains", "text": "Hi\nthere", "ignores_case": True, "is_absent": False},
    ),
    (
        {"kind": "regex", "value": "^Hi", "is_absent": "on"},
        {"kind": "regex", "pattern": "^Hi", "is_absent": True},
    ),
    ({"kind": "equals", "value": ""}, {"kind": "equals", "text": "", "ignores_case": False}),
    (
        {"kind": "json_schema", "value": '{"type": "object"}'},
        {"kind": "json_schema", "schema": {"type": "object"}},
    ),
    (
        {"kind": "number", "value": "1,250", "tolerance": "0.5"},
        {"kind": "number", "value": 1250.0, "tolerance": 0.5},
    ),
    (
        {"kind": "similar", "value": "Hi", "threshold": "0.9", "model": "near"},
        {"kind": "similar", "text": "Hi", "threshold": 0.9, "model": "near"},
    ),
    (
        {"kind": "judge", "value": "Kind?", "threshold": "", "model": "judge"},
        {"kind": "judge", "rubric": "Kind?", "threshold": 0.7, "model": "judge"},
    ),
]


def test_a_case_has_a_form_for_its_values_and_checks(
    client: Client, boss: User, prompt: Prompt
) -> None:
    dataset = make_dataset(prompt)
    add = page("dataset", "add_case", dataset.pk)
    assert 'name="variable-name"' in client.get(add).content.decode()

    sent = filled(*[check for check, _ in CHECKS], said="How are you?", other='{"old": 1}')
    response = client.post(add, sent)

    case = Case.objects.get()
    assert response["Location"] == page("dataset", "change", dataset.pk)
    assert (case.name, case.variables) == ("Case 1", {"name": "Ada", "old": 1})
    assert case.messages == [{"role": "user", "content": "How are you?"}]
    assert case.checks == [kept for _, kept in CHECKS]
    assert LogEntry.objects.filter(user=boss, object_id=str(dataset.pk)).exists()
    shown = client.get(page("dataset", "case", dataset.pk, case.pk)).content.decode()
    for text in ("How are you?", "&quot;old&quot;: 1", "Kind?", 'value="0.9"', "1250.0"):
        assert text in shown
    listed = client.get(page("dataset", "change", dataset.pk)).content.decode()
    assert "old: 1, name: Ada" in listed
    assert "contains, regex, equals" in listed


def test_a_case_is_changed_and_deleted(client: Client, boss: User, prompt: Prompt) -> None:
    dataset = make_dataset(prompt, [HELLO, GOODBYE])
    case = dataset.cases.get()
    address = page("dataset", "case", dataset.pk, case.pk)
    kept = {"kind": "contains", "value": "hello", "ignores_case": "on"}
    dropped = {"kind": "contains", "value": "goodbye", "DELETE": "on"}

    client.post(address, {**filled(kept, dropped, name="Named"), "checks-INITIAL_FORMS": 2})

    case.refresh_from_db()
    assert (case.name, len(case.checks)) == ("Named", 1)
    client.post(page("dataset", "delete_case", dataset.pk, case.pk))
    assert not Case.objects.exists()


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (filled({"kind": "regex", "value": "("}), "Check 1"),
        (filled({"kind": "contains", "value": " "}), "Say what is looked for"),
        (filled({"kind": "number", "value": "many"}), "This is no number"),
        (filled({"kind": "json_schema", "value": "{"}), "not JSON"),
        (filled({"kind": "judge", "value": "Kind?"}), "Name the model"),
        (filled(other="[]"), "This is no JSON object"),
        (filled(locale="de_DE"), "Some fields are wrong"),
        (filled(name="Case 1"), "already a case"),
    ],
)
def test_what_is_wrong_with_a_case_is_shown(
    client: Client, boss: User, prompt: Prompt, form: dict[str, Any], problem: str
) -> None:
    dataset = make_dataset(prompt, [])

    response = client.post(page("dataset", "add_case", dataset.pk), form)

    assert response.status_code == 200
    assert problem in response.content.decode()
    assert Case.objects.count() == 1


def test_cases_are_imported_or_told_by_line(client: Client, boss: User, prompt: Prompt) -> None:
    dataset = make_dataset(prompt)
    address = page("dataset", "import", dataset.pk)
    assert "<code>name</code>" in client.get(address).content.decode()

    def send(name: str, text: str) -> str:
        file = io.BytesIO(text.encode())
        file.name = name
        return client.post(address, {"file": file}, follow=True).content.decode()

    assert "Line 2: The case is wrong" in send("a.jsonl", '{}\n{"locale": 1}')
    assert not Case.objects.exists()
    assert "Cases added: 2." in send("a.csv", "name,contains\nAda,hello\nBo,\n")
    assert "Cases added: 1." in send("a.jsonl", json.dumps({"name": "third"}))
    assert "already a case" in send("a.jsonl", json.dumps({"name": "third"}))
    assert [case.variables for case in Case.objects.all()] == [{"name": "Ada"}, {"name": "Bo"}, {}]


def test_a_run_is_estimated_and_then_started(client: Client, boss: User, prompt: Prompt) -> None:
    assert "Make one first" in client.get(page("datasetrun", "add")).content.decode()
    dataset = make_dataset(prompt, [HELLO])
    assert "greeting: smoke" in client.get(page("datasetrun", "add")).content.decode()
    address = f"{page('datasetrun', 'add')}?dataset={dataset.pk}"
    shown = client.get(address).content.decode()
    assert "1 · production" in shown
    assert "the version’s own" not in shown

    chosen = {"versions": [1, 2], "models": [MODEL], "cap_usd": ""}
    told = client.post(address, {**chosen, "estimate": "1"}).content.decode()

    assert "2 answers, for about $0.0004" in told
    assert "A cap of $0.01 leaves room" in told
    assert not DatasetRun.objects.exists()
    response = client.post(address, {**chosen, "start": "1"})
    run = DatasetRun.objects.get()
    assert response["Location"] == page("datasetrun", "change", run.pk)
    assert (run.versions, run.model_names) == ([1, 2], [MODEL])
    assert run.cap_usd == Decimal("0.01")
    assert (run.created_by, run.state) == (boss, RunState.WAITING)
    waiting = client.get(response["Location"]).content.decode()
    assert "It waits for the worker" in waiting
    assert 'data-refresh="2"' in waiting
    client.post(page("datasetrun", "cancel", run.pk))
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    again = client.post(page("datasetrun", "cancel", run.pk), follow=True).content.decode()
    assert "has ended already" in again


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"versions": [1]}, "Choose one"),
        ({"versions": [3], "models": [MODEL]}, "Some fields are wrong"),
        ({"versions": [1], "models": [MODEL], "cap_usd": "-1"}, "Some fields are wrong"),
    ],
)
def test_what_is_wrong_with_a_run_is_shown(
    client: Client, boss: User, prompt: Prompt, chosen: dict[str, Any], problem: str
) -> None:
    address = f"{page('datasetrun', 'add')}?dataset={make_dataset(prompt, [HELLO]).pk}"

    assert problem in client.post(address, {**chosen, "start": "1"}).content.decode()
    assert not DatasetRun.objects.exists()


def test_who_is_no_member_is_told_who_would_pay(client: Client, boss: User, prompt: Prompt) -> None:
    boss.organizations.clear()
    address = f"{page('datasetrun', 'add')}?dataset={make_dataset(prompt, [HELLO]).pk}"

    assert "do not belong to an organization" in client.get(address).content.decode()


def test_the_page_of_a_run_shows_what_came_of_it(
    client: Client, boss: User, prompt: Prompt
) -> None:
    dataset = make_dataset(prompt, [HELLO], [HELLO])
    ran(dataset)
    dataset.cases.filter(name="Case 2").update(checks=[GOODBYE])
    run = ran(dataset, versions=[1, 2])

    shown = client.get(page("datasetrun", "change", run.pk)).content.decode()

    assert "50.0%" in shown
    assert "1 of 2" in shown
    assert "Newly failing: 2" in shown
    assert "“goodbye” is not in the answer." in shown
    assert "10 + 5 tokens" in shown
    assert "Hello from the vendor" not in shown  # only when it is asked for
    failed = client.get(page("datasetrun", "change", run.pk), {"show": "failed"}).content.decode()
    assert '<th scope="row">Case 1</th>' not in failed
    part = client.get(page("datasetrun", "change", run.pk), {"part": "1"}).content.decode()
    assert part.startswith('<div class="test-progress" data-state="done">')
    result = CaseResult.objects.filter(run=run, passed=False).first()
    assert result is not None
    for query in ({}, {"part": "1"}):
        answer = client.get(page("datasetrun", "result", run.pk, result.pk), query)
        assert "Hello from the vendor, friend." in answer.content.decode()
    assert "50%" in client.get(page("dataset", "change", dataset.pk)).content.decode()
    assert client.get(page("datasetrun", "changelist")).status_code == 200


def test_the_pages_ask_no_more_when_there_is_more(
    client: Client, boss: User, prompt: Prompt, django_assert_max_num_queries: Any
) -> None:
    dataset = make_dataset(prompt, *[[HELLO]] * 12)
    run = ran(dataset)

    with django_assert_max_num_queries(22):
        client.get(page("datasetrun", "change", run.pk))
    with django_assert_max_num_queries(20):
        client.get(page("dataset", "change", dataset.pk))
    with django_assert_max_num_queries(12):
        client.get(page("dataset", "changelist"))


def test_rights_are_asked_for(client: Client, prompt: Prompt) -> None:
    dataset = make_dataset(prompt, [HELLO])
    run = ran(dataset)
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=["view_dataset", "view_datasetrun"])
    )
    client.force_login(clerk)

    for address in (page("dataset", "change", dataset.pk), page("datasetrun", "change", run.pk)):
        assert client.get(address).status_code == 200
        assert client.post(address, {}).status_code == 403
    case = dataset.cases.get()
    for address in (
        page("dataset", "add_case", dataset.pk),
        page("dataset", "case", dataset.pk, case.pk),
        page("dataset", "delete_case", dataset.pk, case.pk),
        page("dataset", "import", dataset.pk),
        page("datasetrun", "add"),
        page("datasetrun", "cancel", run.pk),
    ):
        assert client.post(address, {}).status_code == 403
    assert datasets.next_name(dataset) == "Case 2"
