"""Parameters that not every vendor has: translated, or asked of somebody who takes them."""

from typing import Any

import msgspec
import pytest

from core.errors import AppError
from gateway.wire import EXTRA
from llm.errors import UnsupportedParameter
from llm.providers import Deployment, anthropic_parameters, anthropic_request, untaken
from llm.types import Call, ChatRequest
from tests.llm_support import ask, collect
from tests.vendor import Answer, FakeVendor
from tests.wire_support import connection_to

called = pytest.mark.usefixtures("transactional_db", "tidy_loop", "impatient_calls")
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def sent_to_anthropic(vendor: FakeVendor, **more: Any) -> dict[str, Any]:
    """Return the body that Anthropic is sent."""
    deployment = Deployment(connections=(connection_to(vendor, kind="anthropic"),), model="m")
    body: dict[str, Any] = msgspec.json.decode(anthropic_request.encode(ask(**more), deployment))
    return body


@pytest.mark.parametrize(
    ("extra", "translated"),
    [
        ({"user": "ada"}, {"metadata": {"user_id": "ada"}}),
        ({"user": "ada", "safety_identifier": "7"}, {"metadata": {"user_id": "7"}}),
        ({"metadata": {"user_id": "7"}, "user": "ada"}, {"metadata": {"user_id": "7"}}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"reasoning_effort": "xhigh"}, {"output_config": {"effort": "xhigh"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"prompt_cache_key": "k", "logprobs": False, "frequency_penalty": 0.0}, {}),
    ],
)
def test_what_anthropic_has_another_word_for_is_translated(
    vendor: FakeVendor, extra: dict[str, Any], translated: dict[str, Any]
) -> None:
    plain = sent_to_anthropic(vendor)

    assert untaken("anthropic", ask(extra=extra)) is None
    assert sent_to_anthropic(vendor, extra=extra) == {**plain, **translated}


def test_effort_and_schema_go_together(vendor: FakeVendor) -> None:
    body = sent_to_anthropic(vendor, extra={"reasoning_effort": "high"}, response_format=SCHEMA)

    assert body["output_config"]["effort"] == "high"
    assert body["output_config"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"extra": {"logprobs": True}}, "logprobs"),
        ({"extra": {"logit_bias": {"1": 5}}}, "logit_bias"),
        ({"extra": {"frequency_penalty": 0.5}}, "frequency_penalty"),
        ({"extra": {"prediction": {"type": "content", "content": "x"}}}, "prediction"),
        ({"extra": {"service_tier": "flex"}}, "service_tier"),
        ({"extra": {"metadata": {"order": "7"}}}, "metadata"),
        ({"extra": {"store": True}}, "store"),
        ({"extra": {"verbosity": "low"}}, "verbosity"),
        ({"extra": {"reasoning_effort": "extreme"}}, "reasoning_effort"),
        ({"extra": {"what_comes_next": 1}}, "what_comes_next"),
    ],
)
def test_what_anthropic_would_drop_is_known(asked: dict[str, Any], param: str) -> None:
    found = untaken("anthropic", ask(**asked))

    assert found is not None
    assert found.param == param
    assert found.why.endswith(".")
    assert untaken("openai", ask(**asked)) is None


def test_every_reason_is_of_a_parameter_that_can_be_sent() -> None:
    taken = {*anthropic_parameters.HINTS, *anthropic_parameters.TRANSLATED, "modalities"}
    assert {*anthropic_parameters.WHY} | taken == {*EXTRA, "seed"}


@called
async def test_who_takes_the_parameter_is_asked(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(kind="anthropic")
    await spare.aserve()

    await collect(ask(extra={"logprobs": True}), call)
    await collect(ask(), call)

    assert [request.body.get("logprobs") for request in spare.requests] == [True]
    assert len(vendor.requests) == 1


async def refusal(request: ChatRequest, call: Call) -> AppError:
    with pytest.raises(AppError) as caught:
        await collect(request, call)
    return caught.value


@called
async def test_where_nobody_takes_it_the_call_is_refused_by_name(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(kind="anthropic")

    error = await refusal(ask(extra={"logprobs": True}), call)

    assert isinstance(error, UnsupportedParameter)
    assert (error.http_status, error.code, error.param) == (
        400,
        "unsupported_parameter",
        "logprobs",
    )
    assert error.message == (
        "`logprobs` is taken by no model behind test-model. "
        "Anthropic gives no probabilities of tokens."
    )
    assert vendor.requests == []


@called
async def test_a_fallback_drops_nothing_either(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve(kind="anthropic")
    vendor.script(Answer(status=500))

    error = await refusal(ask(extra={"logprobs": True}), call)

    assert error.code == "provider_server_error"
    assert spare.requests == []
