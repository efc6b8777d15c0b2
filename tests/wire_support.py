"""What tests of the wires share: a conversation with everything in it, and a way to ask a wire."""

from contextlib import aclosing
from typing import Any

from llm.providers import Connection, Deployment, provider_for
from llm.types import (
    ChatRequest,
    Delta,
    End,
    Event,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    Tool,
    ToolCall,
)
from tests.vendor import FakeVendor

WEATHER = Tool(FunctionDefinition("weather", "Tell the weather", {"type": "object"}))
CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", (TextPart("What is it?"), ImagePart(ImageUrl("data:image/png;base64,AAAA")))),
    Message(
        "assistant",
        tool_calls=(
            ToolCall("call-1", FunctionCall("weather", '{"city": "Bern"}')),
            ToolCall("call-2", FunctionCall("weather", "")),
        ),
    ),
    Message("tool", "Rain.", tool_call_id="call-1"),
    Message("tool", "Sun.", tool_call_id="call-2"),
    Message("user", (ImagePart(ImageUrl("https://example.com/a.png")),)),
)


def connection_to(vendor: FakeVendor, **more: Any) -> Connection:
    kind = more.get("kind", "openai")
    base_url = vendor.url if kind == "azure" else f"{vendor.url}/v1"
    return Connection(**{"name": "vendor", "kind": kind, "base_url": base_url, **more})


async def answer_over(connection: Connection, request: ChatRequest) -> list[Delta | End]:
    """Ask a wire itself, without what lies above it."""
    deployment = Deployment(connections=(connection,), model="vendor-model")
    async with aclosing(provider_for(connection).stream(request, deployment)) as answer:
        return [item async for item in answer]


def tool_calls(events: list[Event]) -> dict[int, tuple[str, str, str]]:
    """Return id, name and arguments of each call, put together from its pieces."""
    calls: dict[int, tuple[str, str, str]] = {}
    for event in events:
        for piece in event.tool_calls if isinstance(event, Delta) else ():
            known = calls.get(piece.index, ("", "", ""))
            calls[piece.index] = (
                known[0] + (piece.id or ""),
                known[1] + (piece.name or ""),
                known[2] + piece.arguments,
            )
    return calls
