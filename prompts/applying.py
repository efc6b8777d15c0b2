"""A rendered prompt in a request: its words first, its settings where the caller says nothing."""

from typing import Any, TypeVar

from msgspec.structs import replace

from core.errors import InvalidRequest
from llm.types import ChatRequest, Tool
from prompts.content import OutputSchema
from prompts.labelled import RenderedPrompt

THE_PROMPTS_MODEL = "prompt"  # asked for by callers who leave the model to the prompt

Value = TypeVar("Value")


def applied(request: ChatRequest, prompt: RenderedPrompt) -> ChatRequest:
    """Return the request with the prompt in it; raise `InvalidRequest` where that cannot be.

    What the caller says counts before the prompt's settings; only an experiment's model counts
    before the caller's.
    """
    settings = prompt.settings
    return replace(
        request,
        model=_model(request.model, prompt),
        messages=(*prompt.messages, *request.messages),
        max_tokens=_first(request.max_tokens, settings.max_tokens),
        temperature=_first(request.temperature, settings.temperature),
        top_p=_first(request.top_p, settings.top_p),
        stop=request.stop or settings.stop,
        seed=_first(request.seed, settings.seed),
        tools=_tools(request.tools, prompt),
        response_format=_first(request.response_format, _format(prompt.output_schema)),
        extra=_extra(request.extra, settings.reasoning_effort),
    )


def _model(asked: str, prompt: RenderedPrompt) -> str:
    if prompt.arm_model:
        return prompt.arm_model
    if asked not in ("", THE_PROMPTS_MODEL):
        return asked
    if not prompt.settings.model:
        raise InvalidRequest(
            f"Name a `model`: version {prompt.version} of the prompt “{prompt.name}” has none.",
            param="model",
        )
    return prompt.settings.model


def _tools(offered: tuple[Tool, ...], prompt: RenderedPrompt) -> tuple[Tool, ...]:
    """Return the prompt's tools and the caller's, which have names of their own."""
    brought = {tool.function.name for tool in prompt.tools}
    for tool in offered:
        if tool.function.name in brought:
            raise InvalidRequest(
                f"The prompt “{prompt.name}” brings a tool `{tool.function.name}` already.",
                param="tools",
            )
    return (*prompt.tools, *offered)


def _format(schema: OutputSchema | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    wanted = {"name": schema.name, "schema": schema.schema, "strict": schema.strict}
    return {"type": "json_schema", "json_schema": wanted}


def _extra(said: dict[str, Any], effort: str | None) -> dict[str, Any]:
    return {"reasoning_effort": effort, **said} if effort else said


def _first(said: Value | None, otherwise: Value | None) -> Value | None:
    return otherwise if said is None else said
