"""What kind of answer a request wants: words, JSON, or a call of a tool."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from llm.providers.demo import words
from llm.providers.demo.sample import value_for
from llm.types import ChatRequest, Delta, FinishReason, FunctionDefinition, ToolCallDelta

TOKEN = re.compile(r"\s*\S{1,6}")  # about as long as a model's
BROKEN = '{"city": "Ber'
NO_TOOL = FunctionDefinition("tool")  # for the fault, where the request brings none


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer: its words, or the arguments of the tool that is called."""

    text: str
    tool: str = ""  # the name of the one that is called
    call_id: str = ""

    def cut(self, limit: int) -> tuple[list[Delta], FinishReason]:
        """Return the pieces, a token each, and why they end."""
        pieces = list(self._pieces())
        if len(pieces) > limit:
            return pieces[:limit], "length"
        return pieces, "tool_calls" if self.tool else "stop"

    def _pieces(self) -> Iterator[Delta]:
        if not self.tool:
            yield from map(Delta, TOKEN.findall(self.text))
            return
        yield Delta(tool_calls=(ToolCallDelta(0, self.call_id, self.tool),))
        for piece in TOKEN.findall(self.text):
            yield Delta(tool_calls=(ToolCallDelta(0, arguments=piece),))


def reply_to(request: ChatRequest, model: str) -> Reply:
    """Return what the demo answers: a tool first, then JSON, then words, as it is asked."""
    call_id = f"call_demo_{len(request.messages)}"  # another one in each turn
    if model == "fault-empty":
        return Reply("")
    if model == "fault-bad-tool-call":
        return Reply(BROKEN, (_tool_wanted(request) or NO_TOOL).name, call_id)
    if request.messages[-1].role == "user" and (tool := _tool_wanted(request)):
        return Reply(_json(value_for(tool.parameters or {"type": "object"})), tool.name, call_id)
    match request.response_format:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return Reply(_json(value_for(schema)))
        case {"type": "json_object"}:
            return Reply(_json({"answer": f"This is the demo model {model}."}))
    return Reply(words.text_for(request, model))


def _tool_wanted(request: ChatRequest) -> FunctionDefinition | None:
    """Return the tool that the caller names, or the first one; `None` where it wants none."""
    if request.tool_choice == "none" or not request.tools:
        return None
    wanted = request.tool_choice if isinstance(request.tool_choice, dict) else {}
    name = wanted.get("function", {}).get("name")
    named = [tool.function for tool in request.tools if tool.function.name == name]
    return named[0] if named else request.tools[0].function


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
