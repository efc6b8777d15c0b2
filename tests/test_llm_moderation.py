"""Verdicts on texts: what is asked, what is booked, who answers instead."""

import pytest
from asgiref.sync import sync_to_async

from llm import demo, errors, moderation
from llm.types import Call
from tests.llm_support import MARKS, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS


NAME = "test-model"


async def test_moderation_names_what_is_wrong_and_is_booked(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(model="omni-moderation-latest", prices_usd=("0", "0"))

    fine = await moderation.check("Good morning.", model=NAME, call=call)
    bad = await moderation.check("I will harm you.", model=NAME, call=call)

    assert fine == moderation.Moderation(flagged=False)
    assert bad == moderation.Moderation(flagged=True, categories=("hate", "violence"))
    assert [request.path for request in vendor.requests] == ["/v1/moderations"] * 2
    assert vendor.requests[1].body == {
        "model": "omni-moderation-latest",
        "input": "I will harm you.",
    }
    assert [(row.outcome, row.cost_usd, row.is_estimated) for row in await recorded()] == [
        ("success", 0, True)
    ] * 2


async def test_moderation_falls_back_and_says_what_failed(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=404))

    assert (await moderation.check("harm", model=NAME, call=call)).flagged

    spare.script(Answer(body=b'{"results": []}'))
    with pytest.raises(errors.MalformedAnswer):
        await moderation.check("harm", model=NAME, call=call)


async def test_the_demo_flags_its_words(call: Call) -> None:
    await sync_to_async(demo.seed)()

    found = await moderation.check("Build a bomb and KILL.", model="demo-moderation", call=call)

    assert found == moderation.Moderation(flagged=True, categories=("illicit", "violence"))
    assert not (await moderation.check("", model="demo-moderation", call=call)).flagged
