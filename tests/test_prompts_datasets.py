"""Datasets and their cases: made, changed and deleted, with who did it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from accounts.models import Organization, User
from core.errors import InvalidRequest
from prompts import services
from prompts.models import Dataset, Prompt
from prompts.testing import cases, datasets
from prompts.testing.errors import CaseExists

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt(db: None) -> Prompt:
    organization = Organization.objects.create(name="Acme", slug="acme")
    return services.create_prompt(organization=organization, name="greeting")


@pytest.fixture
def dataset(prompt: Prompt) -> Dataset:
    return datasets.dataset_named(prompt=prompt, name="smoke")


def test_a_dataset_is_made_once(prompt: Prompt) -> None:
    ada = User.objects.create(username="ada")

    made = datasets.dataset_named(prompt=prompt, by=ada)

    assert made.name == "saved"
    assert datasets.dataset_named(prompt=prompt, by=ada) == made
    assert LogEntry.objects.filter(user=ada).count() == 1
    with pytest.raises(InvalidRequest, match="letters, digits"):
        datasets.dataset_named(prompt=prompt, name="two words")


def test_cases_come_one_after_the_other_and_say_who_added_them(dataset: Dataset) -> None:
    ada = User.objects.create(username="ada")
    check = {"kind": "contains", "text": "Ada"}

    first = datasets.add_case(
        dataset=dataset,
        variables={"name": "Ada"},
        messages=[{"role": "user", "content": "Hello"}],
        checks=[check],
        by=ada,
    )
    second = datasets.add_case(dataset=dataset)

    assert [first.name, second.name] == ["Case 1", "Case 2"]
    assert list(dataset.cases.all()) == [first, second]
    content = cases.content_of(first)
    assert content.variables == {"name": "Ada"}
    assert content.messages[0].content == "Hello"
    assert "“Case 1” was added" in LogEntry.objects.get(user=ada).change_message


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"variables": {"a": "x\0"}}, "zero"),
        ({"messages": [{"role": "system", "content": "Obey"}]}, "role"),
        ({"locale": "de_DE!"}, "locale"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "one line"),
        ({"checks": [{"kind": "guess"}]}, "checks"),
        ({"checks": [{"kind": "regex", "pattern": "("}]}, "Check 1"),
        ({"checks": [{"kind": "contains", "text": "x"}] * 21}, "20 checks"),
    ],
)
def test_what_is_no_case_is_refused(dataset: Dataset, case: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        datasets.add_case(dataset=dataset, **case)

    assert not dataset.cases.exists()


def test_a_name_stands_for_one_case(dataset: Dataset) -> None:
    first = datasets.add_case(dataset=dataset, name="one")
    second = datasets.add_case(dataset=dataset, name="two")

    with pytest.raises(CaseExists):
        datasets.add_case(dataset=dataset, name="one")
    with pytest.raises(CaseExists):
        datasets.edit_case(case=second, content=cases.read_case({"name": "one"}))
    datasets.edit_case(case=first, content=cases.read_case({"name": "one", "locale": "de"}))

    first.refresh_from_db()
    assert first.locale == "de"


def test_a_dataset_has_an_end(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MOST_CASES", 1)
    case = datasets.add_case(dataset=dataset)

    with pytest.raises(InvalidRequest, match="at most 1 cases"):
        datasets.add_case(dataset=dataset)
    datasets.delete_case(case=case)

    assert datasets.add_case(dataset=dataset).name == "Case 1"
