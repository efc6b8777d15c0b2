"""What an answer says of its caller's hard budgets, and for which arm of an experiment it is."""

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from billing.models import Budget
from llm import embeddings
from llm.types import Call, Event, Finished, PromptUsed, Started
from tests.flights_support import QUESTION, are_waiting, held, is_shared
from tests.llm_support import MARKS, ask, collect, recorded
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

PROMPT = PromptUsed("greet", 3, experiment="greeting", arm="friendly", unit="user-7")
DOWN = Answer(status=500, error={"message": "down"})


def rooms(events: list[Event]) -> tuple[Decimal | None, Decimal | None]:
    """Return what was left with the worst case held, and what is with the true cost."""
    started, *_, finished = events
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    return started.room_usd, finished.room_usd


async def left_usd() -> Decimal:
    """Return what the books say is left on the one budget."""
    budget = await Budget.objects.aget()
    period = await budget.periods.aget()
    return Decimal(budget.limit_usd - period.spent_usd - period.held_usd)


@pytest.fixture
def prompted(call: Call) -> Call:
    return replace(call, prompt=PROMPT)


async def a_budget(call: Call, limit_usd: str = "1") -> None:
    await Budget.objects.all().adelete()
    await Budget.objects.acreate(
        organization_id=call.principal.organization_id, name="All", limit_usd=Decimal(limit_usd)
    )


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_ends_with_what_the_books_say_is_left(
    vendor: FakeVendor, call: Call, stream: bool
) -> None:
    await vendor.aserve()
    await a_budget(call)

    held_usd, ended_usd = rooms(await collect(ask(stream=stream), call))

    [row] = await recorded()
    assert held_usd == 1 - row.hold_usd
    assert ended_usd == await left_usd() == 1 - (row.cost_usd or 0)


async def test_without_a_hard_budget_nothing_is_said(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    await a_budget(call)
    await Budget.objects.aupdate(is_hard=False)

    assert rooms(await collect(ask(), call)) == (None, None)


async def test_an_answer_that_was_kept_says_nothing_of_budgets(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await a_budget(call)
    await collect(QUESTION, call)

    assert rooms(await collect(QUESTION, call)) == (None, None)


async def test_who_shares_an_answer_does_not_hear_what_the_payer_has_left(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await a_budget(call)
    gate = Gate()
    vendor.script(held(gate))

    asking = [asyncio.create_task(collect(QUESTION, call)) for _ in range(2)]
    await are_waiting(2)
    gate.open()
    payer, other = sorted(await asyncio.gather(*asking), key=is_shared)

    assert rooms(payer)[1] == await left_usd()
    assert rooms(other) == (None, None)


async def test_embeddings_end_with_what_the_books_say_is_left(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await a_budget(call)

    made = await embeddings.ask(["one", "two"], model="test-model", call=call)

    assert made.finished.room_usd == await left_usd()
    assert made.started.room_usd is not None


async def test_the_arm_is_on_every_attempt_and_on_answers_from_the_cache(
    vendor: FakeVendor, prompted: Call
) -> None:
    await vendor.aserve()
    vendor.script(DOWN, Answer())
    question = ask(temperature=0.0)
    await collect(question, prompted)

    await collect(question, prompted)

    rows = await recorded()
    assert [row.outcome for row in rows] == ["failed", "success", "success"]
    assert [row.is_cache_hit for row in rows] == [False, False, True]
    assert {(row.prompt_name, row.prompt_version) for row in rows} == {("greet", 3)}
    assert {(row.experiment, row.arm, row.unit) for row in rows} == {
        ("greeting", "friendly", "user-7")
    }


async def test_a_call_without_an_experiment_is_booked_for_none(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()

    await collect(ask(), replace(call, prompt=PromptUsed("greet", 3)))

    [row] = await recorded()
    assert (row.experiment, row.arm, row.unit) == ("", "", "")
