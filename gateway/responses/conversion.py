"""A request of the Responses API, as the layers below know it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.responses import items, tools
from gateway.responses.items import Sent
from gateway.responses.tools import FunctionTool
from gateway.responses.wire import CreateResponse, JsonObject, JsonSchema, Reasoning, Text
from gateway.wire import as_known
from llm.types import ChatRequest

# Passed on as they are to vendors that speak OpenAI's API; chat completions have the same names.
SAME = (
    *("parallel_tool_calls", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "safety_identifier", "user"),
)


def request_of(
    asked: CreateResponse, functions: tuple[FunctionTool, ...], conversation: Sequence[Sent]
) -> ChatRequest:
    """Return the request, or raise an error that names the field."""
    offered, choice = tools.offered(functions, asked.tool_choice)
    return ChatRequest(
        model=asked.model,
        messages=items.messages_of(asked.instructions, conversation),
        stream=bool(asked.stream),
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        tools=offered,
        tool_choice=choice if offered else None,
        response_format=_format(asked.text),
        extra=_extra(asked),
    )


def _format(text: Text | None) -> dict[str, Any] | None:
    match text and text.format:
        case JsonObject():
            return {"type": "json_object"}
        case JsonSchema() as wanted:
            fields = {
                "name": wanted.name,
                "schema": wanted.schema,
                "description": wanted.description,
                "strict": wanted.strict,
            }
            given = {name: value for name, value in fields.items() if value is not None}
            return {"type": "json_schema", "json_schema": given}
    return None


def _extra(asked: CreateResponse) -> dict[str, Any]:
    fields = {name: msgspec.to_builtins(getattr(asked, name)) for name in SAME}
    fields["reasoning_effort"] = (asked.reasoning or Reasoning()).effort
    fields["verbosity"] = (asked.text or Text()).verbosity
    if asked.service_tier is not None:
        fields["service_tier"] = as_known(asked.service_tier)
    if asked.wants_logprobs:
        fields |= {"logprobs": True, "top_logprobs": asked.top_logprobs}
    return {name: value for name, value in fields.items() if value is not None}
