"""What a call is told that no budget pays for, and what the official clients make of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import anthropic
import openai
import pytest

from billing import ledger
from billing.errors import BudgetExceeded
from billing.ledger_sql import Refused
from billing.models import Budget
from billing.refusals import explain
from tests.billing_support import attempt, make_tenant
from tests.servers import Site
from tests.vendor import FakeVendor

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RESET = datetime(2026, 12, 1, tzinfo=UTC)
MESSAGES = [{"role": "user", "content": "Hello?"}]


def refused(*, spent: str, room: str, hold: str, ends_at: datetime | None = RESET) -> Refused:
    return Refused(
        1, "Monthly", Decimal("1.00"), Decimal(spent), Decimal(room), Decimal(hold), ends_at
    )


def test_a_refusal_names_the_budget_its_limit_room_and_reset() -> None:
    error = explain(refused(spent="0.90", room="0.10", hold="0.20"), NOW)

    assert error.http_status == 402
    assert error.message == (
        "The budget “Monthly” has $0.10 left of $1.00; this call may cost up to $0.20. "
        "It resets on 1 December 2026 at 00:00 UTC."
    )
    assert error.details == {
        "budget": "Monthly",
        "limit_usd": "1",
        "room_usd": "0.1",
        "needed_usd": "0.2",
        "resets_at": "2026-12-01T00:00:00+00:00",
    }
    assert error.retry_after == (RESET - NOW).total_seconds()


def test_where_running_calls_hold_the_room_nobody_knows_when_to_come_back() -> None:
    error = explain(refused(spent="0.30", room="0.10", hold="0.20"), NOW)

    assert "Calls that are running hold the rest." in error.message
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("told", "outlook"),
    [
        (refused(spent="0", room="1", hold="1.01"), "It is more than the whole limit."),
        (refused(spent="0.9", room="0.1", hold="0.2", ends_at=None), "It does not reset."),
    ],
)
def test_where_no_reset_helps_none_is_promised(told: Refused, outlook: str) -> None:
    error = explain(told, NOW)

    assert error.message.endswith(outlook)
    assert error.retry_after is None


@pytest.mark.django_db(transaction=True)
async def test_the_ledger_tells_spent_from_held() -> None:
    from asgiref.sync import sync_to_async

    tenant = await sync_to_async(make_tenant)("1.00")
    await ledger.hold(attempt(tenant, "0.90"))

    with pytest.raises(BudgetExceeded) as caught:
        await ledger.hold(attempt(tenant, "0.20"))

    assert caught.value.details["room_usd"] == "0.1"
    assert caught.value.retry_after is None  # the 0.90 are only held


@pytest.fixture
def without_room(site: Site, vendor: FakeVendor) -> Site:
    vendor.serve("budgeted")
    Budget.objects.update(limit_usd=Decimal(100))
    Budget.objects.create(
        organization=site.organization, name="Tiny", limit_usd=Decimal("0.0000001")
    )
    return site


def ask_openai(site: Site) -> None:
    client = openai.OpenAI(base_url=f"{site.url}/v1", api_key=site.api_key, max_retries=5)
    with client:
        client.chat.completions.create(model="budgeted", messages=MESSAGES)  # type: ignore[arg-type]


def ask_anthropic(site: Site) -> None:
    client = anthropic.Anthropic(base_url=site.url, auth_token=site.api_key, max_retries=5)
    with client:
        body = {"model": "budgeted", "messages": MESSAGES}
        client.post("/v1/chat/completions", body=body, cast_to=object)


@pytest.mark.parametrize(
    ("ask", "error"),
    [(ask_openai, openai.APIStatusError), (ask_anthropic, anthropic.APIStatusError)],
)
def test_official_clients_raise_at_once_and_come_only_once(
    without_room: Site,
    vendor: FakeVendor,
    caplog: pytest.LogCaptureFixture,
    ask: Callable[[Site], None],
    error: type[openai.APIStatusError | anthropic.APIStatusError],
) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(error) as caught:
        ask(without_room)

    assert isinstance(caught.value, openai.APIStatusError | anthropic.APIStatusError)
    assert caught.value.status_code == 402
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "Tiny" in str(caught.value)
    assert "Retrying" not in caplog.text  # what both say before they come again
    assert "Not retrying" in caplog.text
    assert vendor.requests == []
