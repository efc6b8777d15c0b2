"""The header that says what is left of a caller's budgets, on every door of the API."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from billing.models import Budget
from tests.gateway import MESSAGES, Program, program, record
from tests.servers import Site
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes

HEADER = "x-parley-budget-remaining-usd"
CHAT = {"messages": MESSAGES, "max_tokens": 50}
DOORS: dict[str, dict[str, Any]] = {
    "/chat/completions": CHAT,
    "/messages": CHAT,
    "/responses": {"input": "Hello", "max_output_tokens": 50},
    "/embeddings": {"input": "Hello"},
}
STREAMS = [door for door in DOORS if door != "/embeddings"]


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def limit(caller: Program, limit_usd: str, **more: Any) -> None:
    """Have this budget alone."""
    Budget.objects.all().delete()
    organization = caller.site.organization
    Budget.objects.create(
        organization=organization, name="All", limit_usd=Decimal(limit_usd), **more
    )


def post(caller: Program, door: str, **more: Any) -> httpx2.Response:
    return caller.http.post(door, json={"model": caller.model, **DOORS[door], **more})


@pytest.mark.parametrize("door", DOORS)
def test_a_whole_answer_says_what_is_left_after_it(caller: Program, door: str) -> None:
    limit(caller, "1")

    headers = post(caller, door).headers

    cost_usd = record().cost_usd
    assert cost_usd
    assert Decimal(headers[HEADER]) == 1 - cost_usd == 1 - Decimal(headers["x-parley-cost-usd"])


@pytest.mark.parametrize("door", STREAMS)
def test_a_stream_says_what_is_left_with_its_worst_case_held(caller: Program, door: str) -> None:
    limit(caller, "1")

    headers = post(caller, door, stream=True).headers

    assert Decimal(headers[HEADER]) == 1 - record().hold_usd


def test_several_answers_say_what_the_first_has_left(caller: Program) -> None:
    limit(caller, "1")

    headers = post(caller, "/chat/completions", n=2).headers

    assert 0 < Decimal(headers[HEADER]) < 1


def test_nothing_is_said_where_nothing_is_known(caller: Program) -> None:
    limit(caller, "1", is_hard=False)
    soft = post(caller, "/chat/completions", temperature=0)
    limit(caller, "1")

    kept = post(caller, "/chat/completions", temperature=0)

    assert kept.headers["x-parley-cache"] == "hit"
    assert [HEADER in answer.headers for answer in (soft, kept)] == [False, False]


def test_a_refusal_is_as_it_was(caller: Program) -> None:
    limit(caller, "0.000001")

    refused = post(caller, "/chat/completions")

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "budget_exceeded")
    assert error["room_usd"] == "0.000001"
    assert HEADER not in refused.headers
