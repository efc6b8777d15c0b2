"""A conversation in Anthropic's words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from llm.errors import RequestRefused
from llm.providers import anthropic_parameters
from llm.providers.base import Deployment
from llm.types import (
    ChatRequest,
    ForAnthropic,
    FunctionDefinition,
    ImagePart,
    Message,
    TextPart,
    Thought,
    Tool,
)

Block = dict[str, Any]
Marks = Mapping[int, Block]  # what is for the vendor's cache, by the number of the part

NOTHING = ForAnthropic()
NO_MARKS: Marks = {}
INSTRUCTIONS = ("system", "developer")

TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
HIGHEST_TEMPERATURE = 1.0  # OpenAI's goes to 2
# The API takes a schema but has no word for "any JSON object": the model gives it to this tool.
JSON_TOOL = "json_object"
ANY_JSON = Tool(
    FunctionDefinition(JSON_TOOL, "Give your answer, as one JSON object.", {"type": "object"})
)

_encode = msgspec.json.Encoder().encode


def encode(request: ChatRequest, deployment: Deployment) -> bytes:
    """Return the body of a call; raise `RequestRefused` for what the API has no word for."""
    body: dict[str, Any] = {
        "model": deployment.model,
        "max_tokens": request.max_tokens or deployment.max_output_tokens,
        "messages": _messages(request.messages),
        "stream": request.stream,
    }
    if system := _system(request.messages):
        body["system"] = system
    if request.temperature is not None:
        body["temperature"] = min(request.temperature, HIGHEST_TEMPERATURE)
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop_sequences"] = request.stop
    own = request.extra | request.anthropic_hints | request.anthropic
    body |= anthropic_parameters.translated(own)
    if wanted := _output_format(request.response_format):
        body["output_config"] = {**body.get("output_config", {}), "format": wanted}
    return _encode(body | _tools(request))


def json_tool(request: ChatRequest) -> str | None:
    """Return the tool whose arguments are the answer, where the caller wants just any JSON."""
    wanted = request.response_format or {}
    return JSON_TOOL if wanted.get("type") == "json_object" else None


def _system(messages: Iterable[Message]) -> str | list[Block]:
    """Return all instructions in the API's one place for them: a text, or blocks with marks."""
    said = [message for message in messages if message.role in INSTRUCTIONS]
    if any(_own(message).cache_control for message in said):
        return [
            block for message in said for block in _content(message, _own(message).cache_control)
        ]
    return "\n\n".join(text for message in said if (text := _text(message)))


def _messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the turns; neighbours of one role become one, as results of parallel tools must."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in INSTRUCTIONS:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[Block]:
    own = _own(message)
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        result["content"] = _content(message, NO_MARKS)
        if own.is_error:
            result["is_error"] = True
        return [_marked(result, own.cache_control.get(0))]
    # An unsigned thought is another vendor's, and would be refused.
    thoughts = [_thought(one) for one in own.thoughts if one.signature or one.hidden]
    return thoughts + _content(message, own.cache_control) + _tool_uses(message, own.cache_control)


def _content(message: Message, marks: Marks) -> list[Block]:
    """Return text and pictures; empty texts are left out, for the API refuses them."""
    return [
        _marked(_image(part) if isinstance(part, ImagePart) else _words(part), marks.get(number))
        for number, part in enumerate(_parts(message))
        if isinstance(part, ImagePart) or part.text
    ]


def _tool_uses(message: Message, marks: Marks) -> list[Block]:
    return [
        _marked(
            {
                "type": "tool_use",
                "id": call.id,
                "name": call.function.name,
                "input": _arguments(call.function.arguments),
            },
            marks.get(number),
        )
        for number, call in enumerate(message.tool_calls or (), start=len(_parts(message)))
    ]


def _parts(message: Message) -> Sequence[TextPart | ImagePart]:
    """Return the content's parts; a plain text is one."""
    if isinstance(message.content, str):
        return (TextPart(message.content),)
    return message.content or ()


def _own(message: Message) -> ForAnthropic:
    return message.anthropic or NOTHING


def _marked(block: Block, mark: Block | None) -> Block:
    return {**block, "cache_control": mark} if mark else block


def _words(part: TextPart) -> Block:
    return {"type": "text", "text": part.text}


def _thought(thought: Thought) -> Block:
    if thought.hidden:
        return {"type": "redacted_thinking", "data": thought.hidden}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _image(part: ImagePart) -> Block:
    url = part.image_url.url
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    kind, _, encoded = url.removeprefix("data:").partition(";base64,")
    if not encoded:
        raise RequestRefused("A picture in a data: URL must be base64.", param="messages")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": encoded}}


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content or () if isinstance(part, TextPart))


def _arguments(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RequestRefused(
            "The arguments of a tool call are not a JSON object.", param="messages"
        ) from error


def _tools(request: ChatRequest) -> dict[str, Any]:
    tools = [_tool(tool) for tool in request.tools]
    choice = _tool_choice(request)
    if json_tool(request):
        tools.append(_tool(ANY_JSON))
        choice = {"type": "any"} if request.tools else {"type": "tool", "name": JSON_TOOL}
    return {"tools": tools, "tool_choice": choice} if tools else {}


def _tool(tool: Tool) -> Block:
    function = tool.function
    block: Block = {
        "name": function.name,
        "input_schema": function.parameters or {"type": "object", "properties": {}},
    }
    if function.description:
        block["description"] = function.description
    if function.strict:
        block["strict"] = True
    return block | (tool.anthropic or {})


def _tool_choice(request: ChatRequest) -> Block:
    wanted = request.tool_choice
    if isinstance(wanted, dict):
        function = wanted.get("function")
        if wanted.get("type") != "function" or not isinstance(function, dict):
            raise RequestRefused(
                "This model takes the name of one function as tool_choice.", param="tool_choice"
            )
        choice: Block = {"type": "tool", "name": function.get("name")}
    else:
        choice = {"type": TOOL_CHOICES.get(wanted or "auto", "auto")}
    if request.extra.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _output_format(wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    match wanted:
        case None | {"type": "text" | "json_object"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"type": "json_schema", "schema": schema}
    raise RequestRefused(
        "This model takes a response_format of the types text, json_object and json_schema.",
        param="response_format",
    )
