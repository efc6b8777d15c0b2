"""The items of a request's `input`, and the messages that they are for a model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from core.errors import InvalidRequest
from gateway.errors import UnsupportedParameter
from gateway.validation import decode
from llm.types import FunctionCall, ImagePart, ImageUrl, Message, Role, TextPart, ToolCall


@dataclass(frozen=True, slots=True)
class Sent:
    """An item of a conversation, and where in the request it stands."""

    item: Raw
    at: str


class InputText(Struct, frozen=True, tag="input_text", forbid_unknown_fields=True):
    text: str
    prompt_cache_breakpoint: None = None


class OutputText(Struct, frozen=True, tag="output_text", forbid_unknown_fields=True):
    text: str
    annotations: Any = None
    logprobs: Any = None


class Refusal(Struct, frozen=True, tag="refusal", forbid_unknown_fields=True):
    refusal: str


class InputImage(Struct, frozen=True, tag="input_image", forbid_unknown_fields=True):
    image_url: str | None = None
    detail: str | None = None
    file_id: None = None
    prompt_cache_breakpoint: None = None


class InputFile(Struct, frozen=True, tag="input_file"):
    """Only to be refused."""


class InputAudio(Struct, frozen=True, tag="input_audio"):
    """Only to be refused."""


Part = InputText | OutputText | Refusal | InputImage | InputFile | InputAudio
Parts = str | tuple[Part, ...]


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an item may have that changes nothing; what must be null would change something."""

    type: str | None = None
    id: str | None = None
    status: str | None = None


class MessageItem(Item, frozen=True):
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts
    phase: str | None = None


class CallItem(Item, frozen=True, rename={"is_async": "async"}):
    call_id: str
    name: str
    arguments: str
    namespace: None = None
    caller: None = None
    is_async: Literal[False] | None = None


class OutputItem(Item, frozen=True):
    call_id: str
    output: Parts
    name: str | None = None
    namespace: None = None
    caller: None = None


class Head(Struct, frozen=True):
    """Enough of an item to know what it is."""

    type: str | None = None
    id: str | None = None


_head = msgspec.json.Decoder(Head)
_message = msgspec.json.Decoder(MessageItem)
_call = msgspec.json.Decoder(CallItem)
_output = msgspec.json.Decoder(OutputItem)


def head_of(sent: Sent) -> Head:
    """Return what an item is, or raise an error that names it."""
    return decode(_head, sent.item, at=sent.at)


def messages_of(instructions: str | None, conversation: Iterable[Sent]) -> tuple[Message, ...]:
    """Return the conversation, or raise an error that names the item and its field."""
    turns = _Turns(instructions)
    for sent in conversation:
        _take(turns, sent)
    return tuple(turns.messages)


class _Turns:
    """The messages so far. Calls that a model made at once are one message of its."""

    def __init__(self, instructions: str | None) -> None:
        self.messages = [] if instructions is None else [Message("system", instructions)]
        self._calls: set[str] = set()

    def say(self, message: Message) -> None:
        """Add a message; what a model says beside its calls belongs to their message."""
        last = self.messages[-1] if self.messages else None
        if message.role == "assistant" and last and last.role == "assistant" and last.tool_calls:
            text = f"{last.content or ''}{message.content or ''}"
            self.messages[-1] = msgspec.structs.replace(last, content=text)
        else:
            self.messages.append(message)

    def call(self, call: ToolCall) -> None:
        """Add a call to what the model has said just before."""
        self._calls.add(call.id)
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != "assistant":
            self.messages.append(Message("assistant", tool_calls=(call,)))
            return
        calls = (*(last.tool_calls or ()), call)
        self.messages[-1] = msgspec.structs.replace(last, tool_calls=calls)

    def knows(self, call_id: str) -> bool:
        return call_id in self._calls


def _take(turns: _Turns, sent: Sent) -> None:
    item, at = sent.item, sent.at
    match head_of(sent).type:
        case None | "message":
            turns.say(_said(decode(_message, item, at=at), at))
        case "function_call":
            call = decode(_call, item, at=at)
            turns.call(ToolCall(call.call_id, FunctionCall(call.name, call.arguments)))
        case "function_call_output":
            turns.say(_answered(turns, decode(_output, item, at=at), at))
        case "reasoning":
            return  # no model takes the thinking of another
        case other:
            raise UnsupportedParameter(f"Parley takes no `{other}` in `{at}`.", param=f"{at}.type")


def _said(item: MessageItem, at: str) -> Message:
    content = _content(item.content, f"{at}.content")
    if item.role == "user":
        return Message("user", content)
    # Models of other vendors know no developer, and OpenAI's take the one for the other.
    role: Role = "assistant" if item.role == "assistant" else "system"
    return Message(role, _only_text(content, at))


def _answered(turns: _Turns, item: OutputItem, at: str) -> Message:
    if not turns.knows(item.call_id):
        raise InvalidRequest(
            f"`{at}.call_id` is wrong: no `function_call` before it has this id. "
            "Send the call as well, or `previous_response_id`.",
            param=f"{at}.call_id",
        )
    return Message("tool", _content(item.output, f"{at}.output"), tool_call_id=item.call_id)


def _content(sent: Parts, at: str) -> str | tuple[TextPart | ImagePart, ...]:
    if isinstance(sent, str):
        return sent
    parts = tuple(_part(part, f"{at}[{index}]") for index, part in enumerate(sent))
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text  # the form that every server knows
    return parts


def _part(part: Part, at: str) -> TextPart | ImagePart:
    match part:
        case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
            return TextPart(text)
        case InputImage(image_url=str(url), detail=detail):
            return ImagePart(ImageUrl(url, detail))
        case InputImage():
            raise InvalidRequest(f"`{at}.image_url` is missing.", param=f"{at}.image_url")
    kind = "files" if isinstance(part, InputFile) else "audio"
    raise UnsupportedParameter(
        f"Parley takes no {kind} here: send text, or pictures as `input_image`.", param=f"{at}.type"
    )


def _only_text(content: str | tuple[TextPart | ImagePart, ...], at: str) -> str:
    if isinstance(content, str):
        return content
    texts = [part.text for part in content if isinstance(part, TextPart)]
    if len(texts) < len(content):
        raise InvalidRequest("Only a user sends pictures.", param=f"{at}.content")
    return "".join(texts)
