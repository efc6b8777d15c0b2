"""`kill -9` of a web process at each step of a call: no attempt is lost or booked twice."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings
from openai import APIConnectionError, OpenAI

from billing import books, sweeper
from billing.models import Budget, BudgetPeriod, Outcome, UsageRecord, UsageState
from config import serving
from tests.servers import Server, Site, running_server
from tests.vendor import FakeVendor
from tests.vendor_wire import Answer, Gate

pytestmark = pytest.mark.processes

LEASE = 2.0  # seconds
PATIENCE = 60.0
MESSAGES: Any = [{"role": "user", "content": "Tell me"}]
WORDS = "One two three four five six seven eight."


@contextmanager
def server(monkeypatch: pytest.MonkeyPatch, crash_at: str = "") -> Iterator[Server]:
    """Run a web process on the site's database that dies at a step."""
    command = serving.web_command

    def crashing(**where: Any) -> list[str]:
        of_the_test = {"config.asgi:application": "tests.billing_crash:application"}
        return [of_the_test.get(word, word) for word in command(**where)]

    monkeypatch.setattr(serving, "web_command", crashing)
    env = {"PARLEY_LEASE_SECONDS": str(LEASE), "PARLEY_TEST_CRASH_AT": crash_at}
    with running_server(env=env) as running:
        yield running
    monkeypatch.undo()


@pytest.fixture(autouse=True)
def doomed_model(site: Site, vendor: FakeVendor) -> None:
    vendor.serve("doomed")
    Budget.objects.update(limit_usd=Decimal(100))


def ask(server: Server, site: Site) -> str:
    """Return the whole answer of a stream."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=site.api_key, max_retries=0) as client:
        stream = client.chat.completions.create(model="doomed", stream=True, messages=MESSAGES)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def sweep() -> None:
    """Let the sweeper come by until nothing is open: within the lease, and a stalling machine's."""
    deadline = time.monotonic() + PATIENCE
    with override_settings(LEASE_SECONDS=LEASE):
        while UsageRecord.objects.filter(state=UsageState.STARTED).exists():
            assert time.monotonic() < deadline, "a hold outlived its lease"
            sweeper.sweep()
            time.sleep(0.05)


def check_books(site: Site, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> UsageRecord:
    """Return the one record of the call, with the books balanced; the next process goes on."""
    sweep()
    record = UsageRecord.objects.get()
    period = BudgetPeriod.objects.get()
    assert (period.held_usd, period.spent_usd) == (0, record.cost_usd)
    assert books.differences() == []

    vendor.script(Answer(text=WORDS))
    with server(monkeypatch) as restarted:
        assert ask(restarted, site) == WORDS

    assert UsageRecord.objects.filter(outcome=Outcome.SUCCESS).exclude(pk=record.pk).count() == 1
    assert BudgetPeriod.objects.get().held_usd == 0
    assert books.differences() == []
    return record


@pytest.mark.parametrize(
    ("crash_at", "outcome", "requests"),
    [
        ("held", Outcome.INTERRUPTED, 0),
        ("settling", Outcome.INTERRUPTED, 1),
        ("settled", Outcome.SUCCESS, 1),
    ],
)
def test_a_process_that_dies_at_the_ledger(
    site: Site,
    vendor: FakeVendor,
    monkeypatch: pytest.MonkeyPatch,
    crash_at: str,
    outcome: Outcome,
    requests: int,
) -> None:
    vendor.script(Answer(text=WORDS))
    with server(monkeypatch, crash_at) as doomed:
        with pytest.raises(APIConnectionError):
            ask(doomed, site)
        doomed.process.wait(PATIENCE)

    assert len(vendor.requests) == requests
    record = check_books(site, vendor, monkeypatch)
    assert record.outcome == outcome
    assert record.is_estimated == (outcome == Outcome.INTERRUPTED)
    assert record.cost_usd


@pytest.mark.parametrize("pieces", [1, 5])
def test_a_process_that_is_killed_in_the_midst_of_an_answer(
    site: Site, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    gate = Gate()  # where the vendor waits in the midst of its answer
    vendor.script(Answer(text=WORDS, gate=gate, gate_after=pieces))
    with (
        server(monkeypatch) as doomed,
        OpenAI(base_url=f"{doomed.url}/v1", api_key=site.api_key, max_retries=0) as client,
    ):
        stream = client.chat.completions.create(model="doomed", stream=True, messages=MESSAGES)
        heard = ""
        while len(heard.split()) < pieces:
            heard += next(stream).choices[0].delta.content or ""
        assert BudgetPeriod.objects.get().held_usd > 0
        doomed.kill()
        with pytest.raises(APIConnectionError):
            list(stream)
    gate.open()

    record = check_books(site, vendor, monkeypatch)
    assert record.outcome == Outcome.INTERRUPTED
    assert record.cost_usd
    assert record.cost_usd <= record.hold_usd
