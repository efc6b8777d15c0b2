"""Streams that break and clients that leave: nothing looks finished that is not."""

from collections.abc import Iterator

import openai
import pytest

from billing.models import Outcome, UsageRecord, UsageState
from tests.gateway import MESSAGES, Program, eventually, frames, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes

LONG = Answer(text="word " * 10_000, pause=0.02)  # minutes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def is_settled() -> bool:
    return UsageRecord.objects.filter(state=UsageState.SETTLED).exists()


def test_a_vendor_that_dies_ends_in_an_error_event_and_no_done(caller: Program) -> None:
    caller.vendor.script(Answer(fault="close", after=3))

    *chunks, error = frames(caller.post(stream=True))

    assert len(chunks) >= 1
    assert error["error"]["type"] == "server_error"
    assert error["error"]["code"].startswith("provider_")
    assert record().outcome == Outcome.FAILED


def test_the_official_client_raises_where_a_vendor_dies(caller: Program) -> None:
    caller.vendor.script(Answer(fault="end", after=3))

    with (
        caller.openai.chat.completions.create(
            model=caller.model, messages=MESSAGES, stream=True
        ) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        list(stream)

    assert caught.value.code is not None
    assert caught.value.code.startswith("provider_")


def test_a_vendor_that_fails_before_the_first_word_is_a_plain_error(caller: Program) -> None:
    caller.vendor.script(Answer(status=400, error={"message": "no such thing"}))

    response = caller.post(stream=True)

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_that_leaves_stops_the_vendor_and_pays_once(
    caller: Program, is_stream: bool
) -> None:
    caller.vendor.script(LONG if is_stream else Answer(fault="stall"))

    with caller.connection(stream=is_stream) as connection:
        if is_stream:
            connection.recv(100)
        else:
            eventually(lambda: len(caller.vendor.requests) == 1)

    eventually(lambda: caller.vendor.cancelled == 1)  # long before it has said everything
    eventually(is_settled)
    row = record()
    assert (row.outcome, row.is_estimated, row.hold_usd >= 0) == (Outcome.STOPPED, True, True)
    assert row.input_tokens > 0
    assert (row.output_tokens > 0) == is_stream


def test_a_client_that_leaves_before_the_first_word_stops_the_vendor(caller: Program) -> None:
    caller.vendor.script(Answer(fault="stall", after=0))

    with caller.connection(stream=True):
        eventually(lambda: len(caller.vendor.requests) == 1)

    eventually(lambda: caller.vendor.cancelled == 1)
    eventually(is_settled)
    assert record().outcome == Outcome.STOPPED
