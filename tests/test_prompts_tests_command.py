"""`manage.py test_prompts`, and a label that asks for passed tests, from one end to the other."""

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organization
from billing.models import UsageRecord
from llm.routing import routes
from prompts.models import DatasetRun, LabelRule, Prompt, RunState
from prompts.releases import services as releases
from prompts.releases.errors import PassedTestsNeeded
from tests.testing_support import (
    GOODBYE,
    HELLO,
    MODEL,
    make_dataset,
    make_prompt,
    member,
    ran,
)
from tests.vendor import FakeVendor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("impatient_calls"),
]


@pytest.fixture
def prompt(acme: Organization, vendor: FakeVendor) -> Prompt:
    vendor.serve(MODEL)
    routes.forget()
    return make_prompt(acme, model=MODEL)


def command(*args: str) -> tuple[int, str]:
    """Return the exit code of the command, and what it says."""
    out = StringIO()
    try:
        # A verbosity above 1 leaves the log of this process as it is.
        call_command("test_prompts", *args, stdout=out, stderr=out, verbosity=2)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_all_datasets_behind_a_label_are_run_within_one_cap(prompt: Prompt, tmp_path: Path) -> None:
    make_dataset(prompt, [HELLO], [HELLO])
    make_dataset(prompt, [HELLO], name="tone")
    make_dataset(prompt, name="empty")
    report = tmp_path / "report.json"

    code, said = command("--fail-under", "0.9", "--json", str(report))

    assert code == 0, said
    assert "greeting version 1, smoke" in said
    assert "100.0%        2/2  prompt" in said
    assert said.endswith("2 of 2 datasets are good. $0.000060 spent.\n")
    told = json.loads(report.read_text())
    assert told["passed"] is True
    assert [one["dataset"] for one in told["datasets"]] == ["smoke", "tone"]
    assert told["datasets"][0]["columns"][0] == {
        "model": "prompt",
        "passed": 2,
        "counted": 2,
        "rate": 1.0,
    }
    assert {run.state for run in DatasetRun.objects.all()} == {RunState.DONE}


def test_too_few_that_pass_are_an_exit_code_and_are_told(prompt: Prompt) -> None:
    dataset = make_dataset(prompt, [HELLO], [HELLO])
    ran(dataset, models=["prompt"])
    dataset.cases.filter(name="Case 2").update(checks=[GOODBYE])

    code, said = command("--fail-under", "0.9", "--model", "prompt")

    assert code == 1
    assert "newly failing: Case 2 (prompt): “goodbye” is not in the answer." in said
    assert "prompt: 1 of 2 passed, and 90% are needed." in said
    assert command("--fail-under", "0.5")[0] == 0


def test_who_pays_can_be_named(acme: Organization, prompt: Prompt) -> None:
    make_dataset(prompt, [HELLO])
    member(acme)

    assert command("--organization", "acme", "--user", "ada")[0] == 0

    assert {row.user_name for row in UsageRecord.objects.all()} == {"ada"}
    assert command("--user", "ada") == (2, "--user needs --organization.")


def test_the_cap_ends_it(prompt: Prompt) -> None:
    make_dataset(prompt, [HELLO])

    code, said = command("--max-usd", "0.00001")

    assert code == 1
    assert "1 of 1 answers were not asked for" in said


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--label", "staging"], "has the label “staging”"),
        (["--prompt", "nobody"], "No dataset"),
        (["--dataset", "nobody"], "No dataset"),
        (["--organization", "nobody"], "nobody"),
        (["--model", "nobody"], "does not exist"),
    ],
)
def test_wrong_use_has_an_exit_code_of_its_own(
    prompt: Prompt, args: list[str], reason: str
) -> None:
    make_dataset(prompt, [HELLO])

    code, said = command(*args)

    assert code == 2
    assert reason in said


def test_a_version_without_a_model_needs_one(acme: Organization, vendor: FakeVendor) -> None:
    vendor.serve(MODEL)
    make_dataset(make_prompt(acme), [HELLO])

    code, said = command()

    assert (code, said) == (2, "Version 1 of “greeting” has no model of its own: name one.")
    assert command("--model", MODEL)[0] == 0


def test_a_label_that_asks_for_passed_tests_moves_when_they_have_passed(
    acme: Organization, prompt: Prompt
) -> None:
    LabelRule.objects.create(organization=acme, required_pass_rate=Decimal("0.9"))
    dataset = make_dataset(prompt, [HELLO], [GOODBYE])
    dataset.guards_releases = True
    dataset.save()

    def release() -> None:
        releases.move_label(prompt=prompt, number=2)

    with pytest.raises(PassedTestsNeeded, match="has no finished run with version 2"):
        release()
    ran(dataset, versions=[2])
    with pytest.raises(PassedTestsNeeded, match="Version 2 passed 50%"):
        release()
    dataset.cases.filter(name="Case 2").update(checks=[HELLO])
    ran(dataset, versions=[2])

    release()

    assert prompt.labels.get(name="production").version.number == 2
