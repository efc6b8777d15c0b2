"""The answer in OpenAI's form: a response, and the items of its output."""

import time
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from billing.pricing import TokenUsage
from core.errors import AppError
from gateway.encoding import Settled, settled
from gateway.responses.logprobs import Logprob
from gateway.responses.tools import FunctionTool
from gateway.responses.wire import CreateResponse, PlainText, Reasoning, Text
from llm.types import Finished, FinishReason, Started

Status = Literal["in_progress", "completed", "incomplete", "failed"]

INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
# The words that a response has for what went wrong; the `error` event has the exact ones.
FAILURES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}


class OutputText(Struct, tag="output_text", kw_only=True):
    text: str = ""
    annotations: list[Any] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)


class SummaryText(Struct, tag="summary_text"):
    text: str = ""


class MessageItem(Struct, tag="message", kw_only=True):
    id: str
    status: Status = "in_progress"
    role: Literal["assistant"] = "assistant"
    content: list[OutputText] = field(default_factory=list)


class CallItem(Struct, tag="function_call", kw_only=True):
    id: str
    status: Status = "in_progress"
    call_id: str
    name: str
    arguments: str = ""


class ReasoningItem(Struct, tag="reasoning", kw_only=True):
    """What a model showed of its thinking."""

    id: str
    status: Status = "in_progress"
    summary: list[SummaryText] = field(default_factory=list)
    encrypted_content: None = None  # no model could be handed the thinking of another


Item = MessageItem | CallItem | ReasoningItem


class Response(Struct, tag="response", tag_field="object", kw_only=True):
    """An answer as far as it has come, with what was asked."""

    id: str
    created_at: int
    completed_at: int | None = None
    status: Status = "in_progress"
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, str] | None = None
    model: str
    output: list[Item] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    parley: Settled | UnsetType = UNSET  # not OpenAI's; known when it is settled
    background: Literal[False] = False
    conversation: None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: str | None
    store: bool
    temperature: float | None
    text: Text
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["disabled"] = "disabled"
    user: str | None


_encode = msgspec.json.Encoder().encode


def begun(
    asked: CreateResponse,
    functions: tuple[FunctionTool, ...],
    started: Started,
    *,
    is_kept: bool,
) -> Response:
    """Return the response when a model begins to answer."""
    text = asked.text or Text()
    reasoning = asked.reasoning or Reasoning()
    return Response(
        id=f"resp_{started.usage_id.hex}",
        created_at=int(time.time()),
        model=started.model,
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        max_tool_calls=asked.max_tool_calls,
        metadata=asked.metadata or {},
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        previous_response_id=asked.previous_response_id,
        prompt_cache_key=asked.prompt_cache_key,
        prompt_cache_retention=asked.prompt_cache_retention,
        reasoning={"effort": reasoning.effort, "summary": reasoning.summary},
        safety_identifier=asked.safety_identifier,
        service_tier=asked.service_tier,
        store=is_kept,
        temperature=asked.temperature,
        text=Text(format=text.format or PlainText(), verbosity=text.verbosity),
        tool_choice=asked.tool_choice or "auto",
        tools=[_tool(function) for function in functions],
        top_logprobs=asked.top_logprobs or 0,
        top_p=asked.top_p,
        user=asked.user,
    )


def finish(response: Response, started: Started, finished: Finished) -> None:
    """Note how the answer ended, what it took and what it cost."""
    reason = INCOMPLETE.get(finished.finish_reason)
    response.status = "incomplete" if reason else "completed"
    response.incomplete_details = {"reason": reason} if reason else None
    response.completed_at = None if reason else int(time.time())
    response.usage = _usage(finished.usage)
    response.parley = settled(started, finished)


def fail(response: Response, error: AppError) -> None:
    """Note that the answer broke off."""
    response.status = "failed"
    response.error = failure(error)


def failure(error: AppError) -> dict[str, Any]:
    """Return what went wrong, in the words that a response has for it."""
    return {"code": FAILURES.get(error.http_status, "server_error"), "message": error.message}


def body(response: Response) -> bytes:
    """Return the response as JSON."""
    return _encode(response)


def _tool(function: FunctionTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters,
        "strict": bool(function.strict),
    }


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.total_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_input + usage.total_output,
    }
