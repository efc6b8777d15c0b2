"""The guide to adding a provider: its example is run as it stands there."""

import json
import re
import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm import errors, providers
from llm.models import Provider
from llm.types import Call, Finished
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

GUIDE = Path(__file__).parent.parent / "docs" / "adding-a-provider.md"


@pytest.fixture
def example() -> str:
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(code)


@pytest.fixture(autouse=True)
def ollama(example: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("ollama_example")
    exec(compile(example, str(GUIDE), "exec"), module.__dict__)
    monkeypatch.setitem(providers.KINDS, "ollama", module.OllamaProvider)
    yield
    providers.provider_for.cache_clear()


def line(text: str = "", **more: Any) -> bytes:
    content = {"model": "llama-7", "message": {"role": "assistant", "content": text}}
    return json.dumps({**content, "done": False, **more}).encode() + b"\n"


END: dict[str, Any] = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 2}


async def serve(vendor: FakeVendor, *answers: Answer) -> None:
    await vendor.aserve(kind="ollama")
    await Provider.objects.aupdate(base_url=vendor.url)
    vendor.script(*answers)


async def test_the_example_streams(vendor: FakeVendor, call: Call) -> None:
    await serve(vendor, Answer(body=line("Hello ") + line("you") + line(**END)))

    events = await collect(ask(temperature=0.5), call)

    assert text_of(events) == "Hello you"
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.is_estimated, finished.cost_usd) == (False, Decimal("0.000013"))
    [received] = vendor.requests
    assert received.path == "/api/chat"
    assert received.body["options"] == {"num_predict": 4096, "temperature": 0.5}


async def test_the_example_answers_in_one_piece(vendor: FakeVendor, call: Call) -> None:
    await serve(vendor, Answer(body=line("Hello", **{**END, "done_reason": "length"})))

    events = await collect(ask(stream=False), call)

    assert text_of(events) == "Hello"
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "length"


FAULTS = [
    (Answer(status=429), errors.RateLimited),
    (Answer(body=b"nonsense\n"), errors.MalformedAnswer),
    (Answer(body=line(error="out of memory")), errors.ServerError),
    (Answer(body=line("Hel")), errors.ConnectionFailed),
]


@pytest.mark.parametrize(("answer", "error"), FAULTS)
async def test_the_example_fails_as_every_provider_does(
    vendor: FakeVendor, call: Call, answer: Answer, error: type[errors.ProviderError]
) -> None:
    await serve(vendor, answer)

    with pytest.raises(error):
        await collect(ask(), call)

    assert {row.error_class for row in await recorded()} == {error.__name__}


def test_the_example_is_short_and_clean(example: str) -> None:
    written = [text for text in example.splitlines() if text.strip()]

    assert len(written) < 100
