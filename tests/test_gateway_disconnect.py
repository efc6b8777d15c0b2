"""Clients that leave: the model is stopped, or the answer is taken to its end, as the key says."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from accounts import keys
from accounts.models import ApiKey, Organization
from billing.models import Outcome, UsageRecord, UsageState
from gateway.consumers import ChatCompletions
from tests.gateway import Program, program, record
from tests.gateway import eventually as eventually_true
from tests.gateway_edge import Edge
from tests.llm_support import eventually, recorded
from tests.servers import Site
from tests.vendor import Answer, FakeVendor, Gate

TEXT = "one two three four five six"
in_process = pytest.mark.usefixtures("transactional_db", "tidy_loop", "no_retries")


async def key_of(organization: Organization, on_disconnect: str) -> str:
    """Return the secret of a new key."""
    key, secret = await sync_to_async(keys.create)(organization=organization, name="program")
    await ApiKey.objects.filter(pk=key.pk).aupdate(on_disconnect=on_disconnect)
    return secret


async def in_the_middle(
    edge: Edge, vendor: FakeVendor, *, stream: bool
) -> tuple[asyncio.Task[None], Gate]:
    """Ask, and return when the answer is under way; the gate keeps it there."""
    gate = Gate()
    vendor.script(Answer(text=TEXT, gate=gate, gate_after=3))
    await vendor.aserve()
    answer = edge.ask(ChatCompletions)
    if stream:
        await edge.until(b"three")
    await eventually(lambda: len(vendor.requests) == 1)
    return answer, gate


@in_process
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_drained_goes_on_to_its_end_and_is_charged_once(
    acme: Organization, vendor: FakeVendor, stream: bool
) -> None:
    edge = Edge(await key_of(acme, "drain"), stream=stream)
    answer, gate = await in_the_middle(edge, vendor, stream=stream)
    told = len(edge.sent)

    edge.leave()
    gate.open()
    await answer

    [row] = await recorded()
    assert (row.outcome, row.error_class) == (Outcome.SUCCESS, "CallerLeft")
    assert (row.input_tokens, row.output_tokens, row.is_estimated) == (10, 5, False)
    assert vendor.cancelled == 0
    assert len(edge.sent) == told  # who has left is sent nothing


@in_process
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_not_drained_is_stopped_and_charged_once(
    acme: Organization, vendor: FakeVendor, stream: bool
) -> None:
    edge = Edge(await key_of(acme, "stop"), stream=stream)
    answer, gate = await in_the_middle(edge, vendor, stream=stream)

    edge.leave()
    await answer

    await eventually(lambda: vendor.cancelled == 1)
    gate.open()
    [row] = await recorded()
    assert (row.outcome, row.error_class) == (Outcome.STOPPED, "CallerLeft")
    assert (row.is_estimated, row.output_tokens > 0) == (True, stream)


@in_process
async def test_draining_ends_when_it_takes_too_long(
    acme: Organization, vendor: FakeVendor, settings: Any
) -> None:
    settings.DRAIN_SECONDS = 0.01
    edge = Edge(await key_of(acme, "drain"), stream=True)
    answer, gate = await in_the_middle(edge, vendor, stream=True)

    edge.leave()
    await answer

    gate.open()
    [row] = await recorded()
    assert (row.outcome, row.error_class) == (Outcome.STOPPED, "CallerLeft")


@in_process
async def test_who_stays_is_not_noted_as_gone(acme: Organization, vendor: FakeVendor) -> None:
    edge = Edge(await key_of(acme, "drain"), stream=True)
    answer, gate = await in_the_middle(edge, vendor, stream=True)

    gate.open()
    await answer

    [row] = await recorded()
    assert (row.outcome, row.error_class) == (Outcome.SUCCESS, "")
    assert edge.body.endswith(b"data: [DONE]\n\n")


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def is_settled() -> bool:
    return UsageRecord.objects.filter(state=UsageState.SETTLED).exists()


@pytest.mark.processes
@pytest.mark.parametrize("stream", [True, False])
def test_a_real_connection_that_is_gone_is_drained_as_well(
    site: Site, caller: Program, stream: bool
) -> None:
    key, secret = keys.create(organization=site.organization, name="drains")
    ApiKey.objects.filter(pk=key.pk).update(on_disconnect="drain")
    caller = replace(caller, site=replace(site, api_key=secret))
    gate = Gate()
    caller.vendor.script(Answer(text=TEXT, gate=gate, gate_after=3))

    with caller.connection(stream=stream) as connection:
        if stream:
            connection.recv(100)
        eventually_true(lambda: len(caller.vendor.requests) == 1)
    gate.open()

    eventually_true(is_settled)
    row = record()
    assert (row.outcome, row.output_tokens) == (Outcome.SUCCESS, 5)
    assert caller.vendor.cancelled == 0
