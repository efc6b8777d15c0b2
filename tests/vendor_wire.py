"""What the fake vendor says: its script, in OpenAI's and in Anthropic's words."""

import asyncio
import json
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Frames = AsyncIterator[bytes]
Fault = Literal["close", "reset", "stall", "malformed", "error", "end"]
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Gate:
    """Keeps an answer waiting until the test opens it, whatever the machine's speed."""

    def __init__(self) -> None:
        self._is_open = threading.Event()

    def open(self) -> None:
        """Let the vendor go on, with this answer and all others that wait here."""
        self._is_open.set()

    async def passed(self) -> None:
        """Return when it is open."""
        while not self._is_open.is_set():  # noqa: ASYNC110 - another thread opens it
            await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the vendor, or the way it fails. The default is a good one."""

    text: str = "Hello from the vendor, friend."
    reasoning: str = ""
    tool_calls: Sequence[Mapping[str, str]] = ()  # id, name, arguments
    finish_reason: str = "stop"
    stop_sequence: str | None = None  # Anthropic's word for which one it was
    hidden: str = ""  # a thought that Anthropic lets nobody read
    usage: Mapping[str, Any] | None = field(default_factory=lambda: USAGE)
    model: str = "vendor-model-1"
    service_tier: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] | str | None = None  # the body beside a status, or of an error event
    pause: float = 0.0  # seconds before each piece, or before the whole
    gate: Gate | None = None  # says no more, or nothing of the whole, until it is opened
    gate_after: int = 0  # pieces of text
    cut: int | None = None  # bytes per write, regardless of frames
    twice: str = ""  # what has this word in it is sent twice
    body: bytes | None = None  # instead of all the above
    wire: bytes | None = None  # instead of HTTP; then `fault` decides about the connection
    # After so many pieces of text; before the status line where `after` is None.
    fault: Fault | None = None
    after: int | None = None

    @property
    def pieces(self) -> list[str]:
        return re.findall(r"\s*\S+", self.text)


async def fail(answer: Answer, request: web.Request) -> None:
    """Stay silent or hang up, as the script says."""
    transport = request.transport
    if answer.fault == "stall":
        await asyncio.sleep(60)
    if answer.fault not in ("close", "reset") or transport is None:
        return
    if answer.fault == "reset":  # the other side's read fails, instead of ending
        with_no_farewell = struct.pack("ii", 1, 0)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, with_no_farewell)
    await asyncio.sleep(0.02)  # what was said before is to be heard
    transport.abort()
    await asyncio.sleep(60)  # until the server notices and cancels this handler


async def _pieces(answer: Answer, request: web.Request) -> AsyncIterator[str]:
    """Yield the text piece by piece; end early where the script says so."""
    for number, piece in enumerate([*answer.pieces, None]):
        if answer.gate is not None and answer.gate_after == number:
            await answer.gate.passed()
        if answer.fault and answer.after == number:
            await fail(answer, request)
            return
        if piece is not None:
            await asyncio.sleep(answer.pause)
            yield piece


async def _broken_end(answer: Answer) -> Frames:
    """Yield what comes instead of the rest: nonsense, an error, or nothing at all."""
    await asyncio.sleep(0.02)
    if answer.fault == "malformed":
        yield b"data: {this is not JSON\n\n"
    if answer.fault == "error":
        error = answer.error or {"type": "server_error", "message": "scripted"}
        yield _event({"type": "error", "error": error})


def _event(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


# --- OpenAI ---------------------------------------------------------------------------------------


def openai_whole(answer: Answer) -> dict[str, Any]:
    """Return OpenAI's body of an answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.tool_calls:
        message["tool_calls"] = [_openai_tool_call(call) for call in answer.tool_calls]
    body: dict[str, Any] = {
        **_head(answer),
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
    }
    return body if answer.usage is None else {**body, "usage": answer.usage}


async def openai_frames(answer: Answer, request: web.Request) -> Frames:
    """Yield OpenAI's events of a streamed answer."""
    yield _chunk(answer, {"role": "assistant", "content": ""})
    if answer.reasoning:
        yield _chunk(answer, {"reasoning_content": answer.reasoning})
    async for piece in _pieces(answer, request):
        yield _chunk(answer, {"content": piece})
    if answer.fault:
        async for frame in _broken_end(answer):
            yield frame
        return
    for index, call in enumerate(answer.tool_calls):
        first = {**_openai_tool_call(call), "index": index}
        arguments = first["function"].pop("arguments")
        yield _chunk(answer, {"tool_calls": [first]})
        for start in range(0, len(arguments), 5):
            part = {"index": index, "function": {"arguments": arguments[start : start + 5]}}
            yield _chunk(answer, {"tool_calls": [part]})
    yield _chunk(answer, {}, finish_reason=answer.finish_reason)
    if answer.usage is not None:
        yield _event({**_head(answer), "choices": [], "usage": answer.usage})
    yield b"data: [DONE]\n\n"


def _openai_tool_call(call: Mapping[str, str]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": answer.model,
        **({} if answer.service_tier is None else {"service_tier": answer.service_tier}),
    }


def _chunk(answer: Answer, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({**_head(answer), "choices": [choice]})


# --- Anthropic ------------------------------------------------------------------------------------

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def _anthropic_usage(answer: Answer) -> dict[str, Any]:
    if answer.usage is None:
        return {}
    usage = answer.usage
    return {
        "input_tokens": usage.get("prompt_tokens", 0),
        "output_tokens": usage.get("completion_tokens", 0),
        **{name: value for name, value in usage.items() if name.startswith("cache_")},
        **({} if answer.service_tier is None else {"service_tier": answer.service_tier}),
    }


def anthropic_whole(answer: Answer) -> dict[str, Any]:
    """Return Anthropic's body of an answer in one piece."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    if answer.reasoning:
        blocks.insert(0, {"type": "thinking", "thinking": answer.reasoning, "signature": "EqQB"})
    if answer.hidden:
        blocks.insert(0, {"type": "redacted_thinking", "data": answer.hidden})
    for call in answer.tool_calls:
        block = {"type": "tool_use", "id": call["id"], "name": call["name"]}
        blocks.append({**block, "input": _input(call["arguments"])})
    return {
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": blocks,
        "stop_reason": STOP_REASONS.get(answer.finish_reason, answer.finish_reason),
        "stop_sequence": answer.stop_sequence,
        "usage": _anthropic_usage(answer),
    }


def _input(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


async def anthropic_frames(answer: Answer, request: web.Request) -> Frames:
    """Yield Anthropic's events of a streamed answer."""
    usage = _anthropic_usage(answer)
    begun = {**usage, "output_tokens": 1} if usage else {}
    head = {"type": "message", "model": answer.model, "usage": begun}
    yield _named({"type": "message_start", "message": head})
    for frame in _anthropic_thinking(answer):
        yield frame
    text = {"type": "text", "text": ""}
    yield _named({"type": "content_block_start", "index": 0, "content_block": text})
    yield _named({"type": "ping"})
    async for piece in _pieces(answer, request):
        delta = {"type": "text_delta", "text": piece}
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    if answer.fault:
        async for frame in _broken_end(answer):
            yield frame
        return
    yield _named({"type": "content_block_stop", "index": 0})
    for index, call in enumerate(answer.tool_calls, start=1):
        for frame in _anthropic_tool_call(index, call):
            yield frame
    stop_reason = STOP_REASONS.get(answer.finish_reason, answer.finish_reason)
    why = {"stop_reason": stop_reason, "stop_sequence": answer.stop_sequence}
    ending = {"type": "message_delta", "delta": why}
    end_usage = {"output_tokens": usage["output_tokens"]} if usage else {}
    yield _named({**ending, "usage": end_usage})
    yield _named({"type": "message_stop"})


def _anthropic_thinking(answer: Answer) -> Iterator[bytes]:
    if answer.hidden:
        hidden = {"type": "redacted_thinking", "data": answer.hidden}
        yield _named({"type": "content_block_start", "index": 80, "content_block": hidden})
        yield _named({"type": "content_block_stop", "index": 80})
    if not answer.reasoning:
        return
    block = {"type": "thinking", "thinking": "", "signature": ""}
    yield _named({"type": "content_block_start", "index": 90, "content_block": block})
    thought = {"type": "thinking_delta", "thinking": answer.reasoning}
    signature = {"type": "signature_delta", "signature": "EqQB"}
    for delta in (thought, signature):
        yield _named({"type": "content_block_delta", "index": 90, "delta": delta})
    yield _named({"type": "content_block_stop", "index": 90})


def _anthropic_tool_call(index: int, call: Mapping[str, str]) -> Iterator[bytes]:
    block = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}}
    yield _named({"type": "content_block_start", "index": index, "content_block": block})
    arguments = call["arguments"]
    for start in range(0, len(arguments), 5):
        delta = {"type": "input_json_delta", "partial_json": arguments[start : start + 5]}
        yield _named({"type": "content_block_delta", "index": index, "delta": delta})
    yield _named({"type": "content_block_stop", "index": index})


def _named(content: Mapping[str, Any]) -> bytes:
    return f"event: {content['type']}\n".encode() + _event(content)
