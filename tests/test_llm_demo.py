"""The demo provider: answers without a model, and faults on demand."""

import pytest

from llm import attempts, demo, routing
from llm.attempts import Policy
from llm.types import Call, Finished, Started
from tests.llm_support import MARKS, ask, collect, recorded, text_of

pytestmark = MARKS


@pytest.fixture
def demo_models(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.providers.demo.TOKENS_PER_SECOND", {})
    demo.seed()
    demo.seed()
    routing.forget()


@pytest.mark.usefixtures("demo_models")
async def test_the_demo_says_that_it_is_one(call: Call) -> None:
    first = await collect(ask(model="default"), call)

    again = await collect(ask(model="demo-small"), call)

    assert text_of(first).startswith("This is Parley's demo model")
    assert text_of(again) == text_of(first)
    *_, finished = first
    assert isinstance(finished, Finished)
    assert finished.cost_usd


@pytest.mark.usefixtures("demo_models")
@pytest.mark.parametrize(
    ("model", "rows", "error"),
    [
        ("fault-429", 3, "RateLimited"),
        ("fault-500", 3, "ServerError"),
        ("fault-cut-20", 1, "ConnectionFailed"),
        ("fault-stall", 1, "TimedOut"),
    ],
)
async def test_the_demos_faults_fail_as_their_names_say(
    call: Call, model: str, rows: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "POLICY", Policy(base_delay=0.001, first_content=2.5))
    with pytest.raises(Exception, match=r"demo model|did not answer") as failed:
        await collect(ask(model=model), call)

    assert type(failed.value).__name__ == error
    assert [row.error_class for row in await recorded()] == [error] * rows


@pytest.mark.usefixtures("demo_models")
async def test_an_empty_answer_is_an_answer(call: Call) -> None:
    started, finished = await collect(ask(model="fault-empty"), call)

    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
