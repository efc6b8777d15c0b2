"""What follows from a vendor's failure: another try, another vendor, the books; no secret told."""

import asyncio
import time

import pytest

from billing.models import UsageRecord
from llm import attempts, credentials, errors
from llm.attempts import Policy
from llm.models import Provider
from llm.types import Call, Finished, Started
from tests.llm_faults import QUESTION
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

WIRES = pytest.mark.parametrize("kind", ["openai", "anthropic"])


@WIRES
async def test_a_second_try_that_works_has_a_row_of_its_own(
    vendor: FakeVendor, call: Call, kind: str
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(Answer(status=500), Answer())

    events = await collect(ask(), call)

    assert text_of(events) == Answer().text
    assert [(row.attempt, row.outcome) for row in await recorded()] == [
        (1, "failed"),
        (2, "success"),
    ]
    assert {row.request_id for row in await recorded()} == {"request-1"}


async def test_retry_after_is_a_floor(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"retry-after-ms": "300"}), Answer())
    started_at = time.monotonic()

    await collect(ask(), call)

    assert time.monotonic() - started_at >= 0.3


async def test_whoever_wants_too_long_a_wait_is_passed_over(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=429, headers={"Retry-After": "3600"}))

    started, *_ = await collect(ask(), call)

    assert isinstance(started, Started)
    assert started.provider == "spare"
    assert len(vendor.requests) == 1


async def test_the_wait_a_vendor_asks_for_is_told_to_the_caller(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"Retry-After": "3600"}))

    with pytest.raises(errors.RateLimited) as failed:
        await collect(ask(), call)

    assert failed.value.retry_after == 3600


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_falls_back_to_the_next_deployment(
    vendor: FakeVendor, spare: FakeVendor, call: Call, status: int
) -> None:
    await vendor.aserve()
    await spare.aserve(kind="anthropic")
    vendor.script(Answer(status=status))

    started, *_, finished = await collect(ask(), call)

    assert isinstance(started, Started)
    assert started.provider == "spare"
    assert isinstance(finished, Finished)
    assert [row.provider for row in await recorded()][-1] == "spare"


@pytest.mark.parametrize("error", [None, {"code": "content_filter", "message": "no"}])
async def test_does_not_carry_a_bad_request_to_others(
    vendor: FakeVendor, spare: FakeVendor, call: Call, error: dict[str, str] | None
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=400, error=error))

    with pytest.raises((errors.RequestRefused, errors.ContentFiltered)):
        await collect(ask(), call)

    assert spare.requests == []


async def test_stays_with_a_provider_that_has_spoken(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(fault="close", after=2))

    with pytest.raises(errors.ConnectionFailed):
        await collect(ask(), call)

    assert (len(vendor.requests), len(spare.requests)) == (1, 0)


async def test_the_role_alone_is_not_speaking(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(fault="close", after=0))

    started, *_ = await collect(ask(), call)

    assert isinstance(started, Started)
    assert started.provider == "spare"


async def test_one_deadline_for_all_attempts(
    vendor: FakeVendor, spare: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "POLICY", Policy(base_delay=0.001, first_content=1.5))
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(fault="stall"))

    with pytest.raises(errors.TimedOut):
        await collect(ask(), call)

    assert (len(vendor.requests), len(spare.requests)) == (1, 0)
    [row] = await recorded()
    assert (row.cost_usd, row.is_estimated) == (QUESTION, True)


async def test_a_secret_is_in_no_error(
    vendor: FakeVendor,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("VENDOR_KEY", "sk-very-secret-1234")
    await vendor.aserve()
    provider = await Provider.objects.aget()
    await provider.credentials.acreate(name="main", environment_variable="VENDOR_KEY")
    message = "Incorrect API key provided: sk-very-secret-1234."
    vendor.script(Answer(status=401, error={"message": message}))

    with pytest.raises(errors.AuthenticationFailed) as failed:
        await collect(ask(), call)

    assert vendor.requests[0].headers["Authorization"] == "Bearer sk-very-secret-1234"
    assert "secret" not in str(failed.value)
    assert "secret" not in caplog.text


async def test_many_calls_at_once_each_have_their_own_end(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(*[Answer(status=500), Answer(), Answer(fault="close", after=1)] * 10, Answer())

    await asyncio.gather(*(collect(ask(), call) for _ in range(30)), return_exceptions=True)

    assert await UsageRecord.objects.acount() == len(vendor.requests)
    assert not await UsageRecord.objects.filter(state="started").aexists()


@pytest.mark.parametrize(
    "message",
    [
        "Malformed token {key}!",
        "Malformed token {beginning}***!",
        "Malformed token, and long: " + "." * 460 + "{key}",  # cut off in the middle of the key
    ],
)
async def test_a_refusal_that_quotes_our_key_is_told_without_it(
    call: Call, vendor: FakeVendor, message: str
) -> None:
    await vendor.aserve()
    secret = "vendor-secret-0123456789"
    provider = await Provider.objects.aget()
    await provider.credentials.acreate(name="main", secret_encrypted=credentials.encrypt(secret)[0])
    said = message.format(key=secret, beginning=secret[:-4])
    vendor.script(Answer(status=400, error={"message": said, "param": secret}))

    with pytest.raises(errors.RequestRefused) as caught:
        await collect(ask(), call)

    assert "Malformed token" in caught.value.message
    assert caught.value.param == "…"
    assert secret[:10] not in caught.value.message + str(caught.value)
