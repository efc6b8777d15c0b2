"""`kill -9` in the middle of answers: nothing is lost from the books, and nothing stays held."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.test import override_settings
from openai import APIConnectionError, OpenAI

from billing import books, sweeper
from billing.models import BudgetPeriod, Outcome, UsageRecord, UsageState
from tests.gateway import eventually
from tests.servers import Server, Site, running_server

pytestmark = pytest.mark.processes

LEASE = 1.5  # seconds; a call renews its lease three times as often


@pytest.fixture
def doomed(site: Site) -> Iterator[Server]:
    """A server of its own on the site's database, whose processes the test may kill."""
    with running_server(processes=2, env={"PARLEY_LEASE_SECONDS": str(LEASE)}) as server:
        yield server


def test_a_killed_server_leaves_honest_books(site: Site, doomed: Server) -> None:
    client = OpenAI(base_url=f"{doomed.url}/v1", api_key=site.api_key, max_retries=0)
    streams = [
        client.chat.completions.create(
            model="demo-large", stream=True, messages=[{"role": "user", "content": f"Tell me {i}"}]
        )
        for i in range(4)
    ]
    for stream in streams:
        next(stream)
    running = UsageRecord.objects.filter(state=UsageState.STARTED)
    eventually(lambda: running.filter(output_tokens__gt=0).count() == 4)  # each tells how far it is

    doomed.kill()
    with pytest.raises(APIConnectionError):
        list(streams[0])
    client.close()
    assert BudgetPeriod.objects.get().held_usd > 0

    time.sleep(LEASE)
    with override_settings(LEASE_SECONDS=LEASE):
        assert sweeper.sweep() == 4

    records = list(UsageRecord.objects.all())
    assert {record.outcome for record in records} == {Outcome.INTERRUPTED}
    assert all(record.is_estimated and record.output_tokens for record in records)
    assert all(record.cost_usd and record.cost_usd < record.hold_usd for record in records)
    period = BudgetPeriod.objects.get()
    assert period.held_usd == 0
    assert period.spent_usd == sum((r.cost_usd or Decimal(0) for r in records), Decimal(0))
    assert books.differences() == []


def test_a_server_that_is_asked_to_end_settles_what_it_has_begun(
    site: Site, doomed: Server
) -> None:
    client = OpenAI(base_url=f"{doomed.url}/v1", api_key=site.api_key, max_retries=0)
    stream = client.chat.completions.create(
        model="demo-large", stream=True, messages=[{"role": "user", "content": "Tell me"}]
    )
    next(stream)

    doomed.process.terminate()
    doomed.process.wait(60)
    client.close()

    record = UsageRecord.objects.get()
    assert record.state == UsageState.SETTLED
    assert record.outcome in {Outcome.STOPPED, Outcome.SUCCESS}
    assert BudgetPeriod.objects.get().held_usd == 0
    assert books.differences() == []
