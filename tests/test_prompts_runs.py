"""Runs of versions over datasets: asked, checked, paid, capped, cancelled and taken over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import Membership, Organization, User
from billing.models import UsageRecord
from core.errors import AppError
from llm import metering
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import CaseResult, Dataset, DatasetRun, Prompt, RunState
from prompts.testing import datasets, leases, running, runs
from prompts.testing.errors import RunRefused
from tests.llm_support import MARKS
from tests.testing_support import (
    GOODBYE,
    HELLO,
    MODEL,
    begin,
    finished,
    make_dataset,
    make_prompt,
    member,
    results,
)
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

PATIENCE = 120  # seconds; nobody waits so long but where something is broken
# The vendor reports 10 tokens in at $1 and 5 out at $2 a million.
ANSWER_USD = Decimal("0.00002")


@pytest.fixture
def prompt(acme: Organization, vendor: FakeVendor) -> Prompt:
    vendor.serve(MODEL)
    return make_prompt(acme)


@asynccontextmanager
async def worker() -> AsyncGenerator[None, None]:
    """Have a worker while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(running.work(stop))
    yield
    stop.set()
    await task


async def until(condition: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def records() -> list[UsageRecord]:
    return [row async for row in UsageRecord.objects.order_by("request_id", "started_at")]


make = sync_to_async(make_dataset)
start = sync_to_async(begin)
seen = sync_to_async(results)


async def test_a_run_asks_every_version_and_model_each_case(
    acme: Organization, prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve("other-model", model="other")
    dataset = await make(prompt, [HELLO], [HELLO, GOODBYE], [])
    ada = await sync_to_async(member)(acme)
    run = await start(dataset, versions=[1, 2], models=[MODEL, "other-model"], by=ada)

    async with worker():
        await until(lambda: _is(run, RunState.DONE))

    found = await seen(run)
    assert [one.passed for one in found] == [True] * 4 + [False] * 4 + [None] * 4
    first, failed = found[0], found[4]
    assert first.output == "Hello from the vendor, friend."
    assert (first.input_tokens, first.output_tokens, first.cost_usd) == (10, 5, ANSWER_USD)
    assert first.ttft_ms is not None
    assert first.duration_ms is not None
    assert failed.checks == [
        {"kind": "contains", "passed": True, "why": ""},
        {"kind": "contains", "passed": False, "why": "“goodbye” is not in the answer."},
    ]
    said = [request.body["messages"][0]["content"] for request in vendor.requests]
    assert sorted(set(said)) == ["Greet Ada warmly.", "Greet Ada."]
    booked = await records()
    assert {one.request_id for one in found} == {row.request_id for row in booked}
    assert {(row.surface, row.prompt_name, row.user_name) for row in booked} == {
        ("tests", "greeting", "ada")
    }
    assert {(row.prompt_version, tuple(row.tags)) for row in booked} == {
        (1, ("test",)),
        (2, ("test",)),
    }
    assert run.spent_usd == 12 * ANSWER_USD
    assert (run.lease_expires_at, run.started_at is None, run.ended_at is None) == (
        None,
        False,
        False,
    )


async def _is(run: DatasetRun, state: str) -> bool:
    await run.arefresh_from_db()
    return run.state == state


async def test_a_prompt_that_asks_who_it_is_has_an_answer(
    acme: Organization, prompt: Prompt, vendor: FakeVendor
) -> None:
    content = PromptContent(
        messages=(MessageTemplate("user", "I am {{ user_name }}."),),
        variables=(Variable("user_name"),),
    )
    await sync_to_async(services.add_version)(prompt=prompt, content=content)
    dataset = await make(prompt)
    add = sync_to_async(datasets.add_case)
    await add(dataset=dataset)
    await add(dataset=dataset, variables={"user_name": "Bo"})
    ada = await sync_to_async(member)(acme)

    for by in (None, ada):
        await finished(await start(dataset, versions=[3], by=by))

    said = [request.body["messages"][0]["content"] for request in vendor.requests]
    assert sorted(said) == ["I am Bo.", "I am Bo.", "I am Tester.", "I am ada."]


async def test_what_fails_is_a_result_and_not_the_end_of_the_run(
    prompt: Prompt, vendor: FakeVendor
) -> None:
    dataset = await make(prompt, [HELLO], [HELLO])
    await sync_to_async(datasets.add_case)(dataset=dataset, name="Case 3", variables={"nme": 1})
    refused = Answer(status=400, error={"message": "No.", "code": "nope"})
    vendor.script(refused, Answer())

    run = await finished(await start(dataset))

    one, two, three = await seen(run)
    assert run.state == RunState.DONE
    assert {one.passed, two.passed} == {False, True}
    assert (three.passed, three.cost_usd, three.input_tokens) == (False, 0, 0)
    assert "missing name" in three.error
    assert run.spent_usd == ANSWER_USD


async def test_a_run_never_spends_more_than_its_cap(prompt: Prompt, vendor: FakeVendor) -> None:
    dataset = await make(prompt, *[[HELLO]] * 20)
    # Worst: some tokens of input three times and 100 of output; so the cap pays several.
    run = await finished(await start(dataset, cap_usd=Decimal("0.0004")))

    assert run.state == RunState.CAPPED
    found = await seen(run)
    assert 0 < len(found) < 20
    assert run.failure.endswith(f"{20 - len(found)} of 20 answers were not asked for.")
    assert run.spent_usd == len(found) * ANSWER_USD <= run.cap_usd
    assert len(vendor.requests) == len(found)


async def test_judges_are_paid_from_the_same_cap_also_when_they_fail(
    prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve("judge", model="judge-model")
    vendor.script_model("judge-model", Answer(text="I will not say."))
    judge = {"kind": "judge", "rubric": "Is it kind?", "model": "judge"}
    dataset = await make(prompt, [HELLO, judge])

    run = await finished(await start(dataset))

    (one,) = await seen(run)
    assert one.passed is False
    assert one.checks[1]["why"].startswith("It could not be checked: ")
    assert len(await records()) == 3  # the judge was asked a second time
    assert one.cost_usd == run.spent_usd == 3 * ANSWER_USD
    assert (one.input_tokens, one.output_tokens) == (10, 5)


async def test_a_judge_and_a_likeness_decide(prompt: Prompt, vendor: FakeVendor) -> None:
    await vendor.aserve("judge", model="judge-model")
    await vendor.aserve("near", model="embed-model")
    vendor.script_model("judge-model", Answer(text='{"reason": "Kind.", "score": 0.9}'))
    judge = {"kind": "judge", "rubric": "Is it kind?", "model": "judge"}
    like = {"kind": "similar", "text": "Hello from the vendor, friend.", "model": "near"}
    dataset = await make(prompt, [judge, {**judge, "threshold": 0.95}, {**like, "threshold": 0}])

    run = await finished(await start(dataset))

    (one,) = await seen(run)
    assert [(check["passed"], check["why"]) for check in one.checks[:2]] == [
        (True, ""),
        (False, "Kind."),
    ]
    assert [check["score"] for check in one.checks[:2]] == [0.9, 0.9]
    assert one.checks[2]["passed"] is True
    asked = next(r.body for r in vendor.requests if r.body["model"] == "judge-model")
    assert "Hello from the vendor, friend." in asked["messages"][1]["content"]


async def test_a_model_without_a_price_has_results_without_a_cost(
    prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve("free", model="free-model", prices_usd=None)
    dataset = await make(prompt, [HELLO])

    run = await finished(await start(dataset, models=["free"]))

    (one,) = await seen(run)
    assert (one.passed, one.cost_usd, run.spent_usd) == (True, None, 0)


async def test_a_cancelled_run_stops_what_is_asked(prompt: Prompt, vendor: FakeVendor) -> None:
    dataset = await make(prompt, *[[HELLO]] * 8)
    vendor.script(Answer(), Answer(fault="stall"))
    run = await start(dataset)

    async with worker():
        await until(lambda: asyncio.sleep(0, len(vendor.requests) == 5))
        await sync_to_async(runs.cancel)(run=run)
        await until(lambda: asyncio.sleep(0, vendor.cancelled == 4))
    await metering.finish_open_work()

    await run.arefresh_from_db()
    assert run.state == RunState.CANCELLED
    booked = await records()
    assert len(booked) == 5
    assert run.spent_usd == sum(row.cost_usd or 0 for row in booked) > ANSWER_USD
    assert len(await seen(run)) == 1
    with pytest.raises(RunRefused):
        await sync_to_async(runs.cancel)(run=run)


async def test_whoever_takes_over_asks_only_what_is_missing(
    prompt: Prompt, vendor: FakeVendor
) -> None:
    dataset = await make(prompt, *[[HELLO]] * 6)
    vendor.script(Answer(), Answer(), Answer(fault="stall"))
    run = await start(dataset)
    async with worker():
        await until(lambda: asyncio.sleep(0, len(vendor.requests) == 6))
    assert await CaseResult.objects.acount() == 2
    await run.arefresh_from_db()
    assert (run.state, run.lease_expires_at) == (RunState.RUNNING, None)
    vendor.script(Answer())

    run = await finished(run)

    assert run.state == RunState.DONE
    assert len(vendor.requests) == 6 + 4  # the two that have a result were not asked again
    assert len(await seen(run)) == 6
    assert run.spent_usd == sum(row.cost_usd or 0 for row in await records())


async def test_only_one_worker_has_a_run(prompt: Prompt) -> None:
    run = await start(await make(prompt, [HELLO]))
    mine = await sync_to_async(leases.claim)()
    assert mine == run
    assert await sync_to_async(leases.claim)() is None
    assert await sync_to_async(leases.renew)(mine)

    await DatasetRun.objects.aupdate(lease_expires_at=timezone.now() - timedelta(seconds=1))
    theirs = await sync_to_async(leases.claim)()

    assert theirs == run
    assert not await sync_to_async(leases.renew)(mine)
    await sync_to_async(leases.finish)(mine, RunState.DONE)
    assert await sync_to_async(leases.renew)(theirs)


async def test_a_result_is_written_once(prompt: Prompt, vendor: FakeVendor) -> None:
    dataset = await make(prompt, [HELLO])
    gate = Gate()
    vendor.script(Answer(gate=gate), Answer(text="Late."))
    run = await start(dataset)
    mine = await sync_to_async(leases.claim)()
    assert mine is not None
    slow = asyncio.create_task(running.do(mine))
    await until(lambda: asyncio.sleep(0, len(vendor.requests) == 1))
    await CaseResult.objects.acreate(run=run, case_name="Case 1", version=1, model=MODEL)

    gate.open()
    await slow

    (one,) = await seen(run)
    assert one.output == ""


async def test_a_case_that_is_deleted_meanwhile_keeps_its_result(
    prompt: Prompt, vendor: FakeVendor
) -> None:
    dataset = await make(prompt, [HELLO])
    gate = Gate()
    vendor.script(Answer(gate=gate))
    run = await start(dataset)
    asked = asyncio.create_task(finished(run))
    await until(lambda: asyncio.sleep(0, len(vendor.requests) == 1))

    await dataset.cases.all().adelete()
    gate.open()
    run = await asked

    (one,) = await seen(run)
    assert (run.state, one.case_name, one.case_id) == (RunState.DONE, "Case 1", None)


async def test_nobody_asks_for_those_who_may_not(acme: Organization, prompt: Prompt) -> None:
    ada = await sync_to_async(member)(acme)
    run = await start(await make(prompt, [HELLO]), by=ada)
    await Membership.objects.all().adelete()

    run = await finished(run)

    assert (run.state, run.spent_usd) == (RunState.FAILED, 0)
    assert "do not belong" in run.failure


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"versions": []}, "at least one version"),
        ({"versions": [3]}, "no version 3"),
        ({"versions": [1, 1]}, "once"),
        ({"models": ["nobody"]}, "does not exist"),
        ({"models": ["prompt"]}, "no model of its own"),
        ({"cap_usd": Decimal(0)}, "cap"),
        ({"cap_usd": Decimal(20_000)}, "cap"),
    ],
)
def test_what_cannot_be_run_is_refused(
    prompt: Prompt, fields: dict[str, object], reason: str
) -> None:
    dataset = make_dataset(prompt, [HELLO])

    with pytest.raises(AppError, match=reason):
        begin(dataset, **fields)

    assert not DatasetRun.objects.exists()


def test_a_run_has_a_size(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AppError, match="no cases yet"):
        begin(make_dataset(prompt, name="empty"))
    monkeypatch.setattr(runs, "MOST_ASKS", 1)

    with pytest.raises(AppError, match="2 answers are too many"):
        begin(make_dataset(prompt, [HELLO], [HELLO]))


def test_a_stranger_cannot_have_the_organization_pay(prompt: Prompt) -> None:
    dataset: Dataset = make_dataset(prompt, [HELLO])

    with pytest.raises(AppError, match="do not belong"):
        begin(dataset, by=User.objects.create_user("mallory"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(fault="close"),  # asked again, and each time the input may be charged
        Answer(fault="reset", after=3),
        Answer(status=500, error={"message": "No.", "code": "nope"}),
        Answer(usage=None),
    ],
)
async def test_a_cap_holds_also_where_calls_fail(
    prompt: Prompt, vendor: FakeVendor, answer: Answer
) -> None:
    judge = {"kind": "judge", "rubric": "Is it kind?", "model": MODEL}
    dataset = await make(prompt, *[[judge]] * 6)
    vendor.script(*[Answer(), answer] * 3, Answer())

    run = await finished(await start(dataset, cap_usd=Decimal("0.03")))

    assert run.state in (RunState.CAPPED, RunState.DONE)
    assert await seen(run)
    assert run.spent_usd == sum(row.cost_usd or 0 for row in await records())
    assert run.spent_usd <= run.cap_usd
