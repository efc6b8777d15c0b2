"""How vendors fail, on each wire: what the caller sees, how many calls, what is billed."""

import asyncio
import time
from decimal import Decimal

import pytest

from billing.models import UsageRecord
from llm import attempts, credentials, errors
from llm.attempts import Policy
from llm.models import Provider
from llm.types import Call, Finished, Started
from tests import vendor_wire
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

WIRES = pytest.mark.parametrize("kind", ["openai", "anthropic"])
NOTHING = Decimal(0)
QUESTION = Decimal("0.000009")  # nine tokens of input at $1 per million
QUESTION_AND_TWO_WORDS = Decimal("0.000013")  # and two of output at $2

# What happens, what the caller sees, how often the vendor is asked, what each attempt is billed.
FAULTS = {
    "refused key": (Answer(status=401), errors.AuthenticationFailed, 1, NOTHING),
    "forbidden": (Answer(status=403), errors.ProviderPermissionDenied, 1, NOTHING),
    "unknown model": (Answer(status=404), errors.ModelMissing, 1, NOTHING),
    "wrong request": (Answer(status=400), errors.RequestRefused, 1, NOTHING),
    "too long": (
        Answer(status=400, error={"message": "prompt is too long: 9 tokens > 8 maximum"}),
        errors.ContextTooLong,
        1,
        NOTHING,
    ),
    "empty account": (
        Answer(status=429, error={"code": "insufficient_quota", "message": "pay"}),
        errors.ProviderPermissionDenied,
        1,
        NOTHING,
    ),
    "rate limited": (Answer(status=429), errors.RateLimited, 3, NOTHING),
    "overloaded": (Answer(status=529), errors.Overloaded, 3, NOTHING),
    "failing": (Answer(status=500), errors.ServerError, 3, NOTHING),
    "redirected": (Answer(status=302), errors.ServerError, 3, NOTHING),
    "reset before headers": (Answer(fault="close"), errors.ConnectionFailed, 3, QUESTION),
    "reset in the answer": (
        Answer(text="one two three", fault="close", after=2),
        errors.ConnectionFailed,
        1,
        QUESTION_AND_TWO_WORDS,
    ),
    "ended without an end": (
        Answer(text="one two three", fault="end", after=2),
        errors.ConnectionFailed,
        1,
        QUESTION_AND_TWO_WORDS,
    ),
    "nonsense in the answer": (
        Answer(text="one two three", fault="malformed", after=2, pause=0.02),
        errors.MalformedAnswer,
        1,
        QUESTION_AND_TWO_WORDS,
    ),
    "nonsense at once": (Answer(fault="malformed", after=0), errors.MalformedAnswer, 3, QUESTION),
    "error in the answer": (
        Answer(text="one two three", fault="error", after=2, pause=0.02),
        errors.ServerError,
        1,
        QUESTION_AND_TWO_WORDS,
    ),
    "error at once": (
        Answer(fault="error", after=0, error={"type": "overloaded_error", "message": "busy"}),
        errors.Overloaded,
        3,
        QUESTION,
    ),
}


@WIRES
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_told_recorded_and_billed(
    vendor: FakeVendor, call: Call, kind: str, fault: str
) -> None:
    answer, error, times, cost = FAULTS[fault]
    await vendor.aserve(kind=kind)
    vendor.script(answer)

    with pytest.raises(error) as failed:
        await collect(ask(), call)

    assert type(failed.value) is error
    assert len(vendor.requests) == times
    rows = await recorded()
    assert [row.attempt for row in rows] == list(range(1, times + 1))
    assert {(row.state, row.outcome) for row in rows} == {("settled", "failed")}
    assert {row.error_class for row in rows} == {error.__name__}
    assert {row.cost_usd for row in rows} == {cost}
    assert {row.is_estimated for row in rows} == {cost > 0}


WHOLE_FAULTS = {
    "not JSON": (Answer(fault="malformed", after=0), errors.MalformedAnswer, 3, QUESTION),
    "error under status 200": (
        Answer(error={"code": "rate_limit_exceeded", "message": "slow down"}),
        errors.RateLimited,
        3,
        QUESTION,
    ),
    "failing": (Answer(status=500), errors.ServerError, 3, NOTHING),
    "reset": (Answer(fault="close"), errors.ConnectionFailed, 3, QUESTION),
}


@WIRES
@pytest.mark.parametrize("fault", WHOLE_FAULTS)
async def test_a_fault_of_an_answer_in_one_piece(
    vendor: FakeVendor, call: Call, kind: str, fault: str
) -> None:
    answer, error, times, cost = WHOLE_FAULTS[fault]
    await vendor.aserve(kind=kind)
    vendor.script(answer)

    with pytest.raises(error):
        await collect(ask(stream=False), call)

    assert len(vendor.requests) == times
    assert {row.cost_usd for row in await recorded()} == {cost}


async def test_a_vendor_that_is_not_there_costs_nothing(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    await Provider.objects.aupdate(base_url="http://127.0.0.1:1/v1")

    with pytest.raises(errors.ConnectionFailed, match="cannot be reached"):
        await collect(ask(), call)

    assert [row.cost_usd for row in await recorded()] == [NOTHING] * 3


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
    monkeypatch.setattr(attempts, "POLICY", Policy(base_delay=0.001, first_content=0.3))
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(fault="stall"))
    started_at = time.monotonic()

    with pytest.raises(errors.TimedOut):
        await collect(ask(), call)

    assert time.monotonic() - started_at < 2
    assert (len(vendor.requests), len(spare.requests)) == (1, 0)
    [row] = await recorded()
    assert (row.cost_usd, row.is_estimated) == (QUESTION, True)


async def test_an_empty_answer_has_an_end_and_the_vendors_bytes(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=""))

    started, closing, finished = await collect(ask(), call)

    assert isinstance(started, Started)
    assert b'"finish_reason": "stop"' in (getattr(closing, "raw", None) or b"")
    assert isinstance(finished, Finished)


async def test_a_secret_is_in_no_error(
    vendor: FakeVendor,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("VENDOR_KEY", "sk-very-secret-1234")
    await vendor.aserve()
    await Provider.objects.aupdate(api_key_env="VENDOR_KEY")
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


async def test_a_refusal_that_quotes_our_key_is_told_without_it(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    secret = "vendor-secret-0123456789"
    await Provider.objects.aupdate(api_key_encrypted=credentials.encrypt(secret))
    vendor.script(Answer(status=400, error={"message": f"Malformed token {secret}!"}))

    with pytest.raises(errors.RequestRefused) as caught:
        await collect(ask(), call)

    assert "Malformed token" in caught.value.message
    assert secret not in caught.value.message + str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(usage={"prompt_tokens": -7, "completion_tokens": 5, "total_tokens": 5}),
        Answer(usage={"prompt_tokens": 2**40, "completion_tokens": 5, "total_tokens": 5}),
        Answer(model="m" * 5_000),
        Answer(model="m\0"),
    ],
    ids=["negative", "huge", "long name", "NUL"],
)
async def test_figures_and_names_that_cannot_be_are_not_booked(
    call: Call, vendor: FakeVendor, answer: Answer
) -> None:
    await vendor.aserve()
    vendor.script(answer)

    events = await collect(ask(), call)

    assert isinstance(events[-1], Finished)
    row = (await recorded())[0]
    assert (row.state, row.outcome) == ("settled", "success")
    assert row.is_estimated == (answer.usage is not vendor_wire.USAGE)
