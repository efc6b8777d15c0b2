"""What vendors report corrects the next estimate, through the pipeline."""

from typing import Any

from llm.types import Call, FunctionDefinition, Tool
from tests.llm_support import MARKS, ask, collect, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

TEXT = " word" * 93  # 100 tokens with what is around
TOOL = Tool(FunctionDefinition("weather"))
ONE_AND_A_HALF = {"prompt_tokens": 150, "completion_tokens": 5, "total_tokens": 155}


async def estimates(vendor: FakeVendor, call: Call, model: str, **first: Any) -> tuple[int, int]:
    """Return the records' input of a call without a report, made after one with a report."""
    await vendor.aserve(model=model)
    vendor.script(Answer(usage=ONE_AND_A_HALF), Answer(usage=None))
    await collect(ask(TEXT, **first), call)
    await collect(ask(TEXT + "!"), call)
    _, estimated = await recorded()
    assert estimated.is_estimated
    return estimated.input_tokens, estimated.output_tokens


async def test_the_next_estimate_is_corrected(vendor: FakeVendor, call: Call) -> None:
    assert await estimates(vendor, call, "claude-like") == (152, 11)  # of 101 and 7


async def test_models_whose_tokens_are_known_are_not_corrected(
    vendor: FakeVendor, call: Call
) -> None:
    assert await estimates(vendor, call, "gpt-4o-like") == (101, 7)


async def test_nothing_is_learned_from_what_vendors_put_in_their_own_words(
    vendor: FakeVendor, call: Call
) -> None:
    assert await estimates(vendor, call, "claude-like", tools=(TOOL,)) == (101, 7)


async def test_a_correction_is_not_corrected_again(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(model="claude-like")
    vendor.script(Answer(usage=ONE_AND_A_HALF))
    for _ in range(3):
        await collect(ask(TEXT), call)
    vendor.script(Answer(usage=None))

    await collect(ask(TEXT), call)

    assert (await recorded())[-1].input_tokens == 150
