"""Items of the output while a model writes them, and the events that tell of it."""

from typing import Any, Protocol

import msgspec
from msgspec import Raw

from gateway.responses.answer import (
    CallItem,
    Item,
    MessageItem,
    OutputText,
    ReasoningItem,
    Status,
    SummaryText,
)
from gateway.responses.logprobs import Logprob
from llm.types import Delta, ToolCallDelta

Event = dict[str, Any]

_encode = msgspec.json.Encoder().encode


class Output:
    """What a model has written so far: its thinking, its words, its calls, in this order of coming.

    Words and thinking end where something else begins. Calls stay open to the end, because a
    vendor may write several at once.
    """

    def __init__(self, answer_id: str) -> None:
        self._answer_id = answer_id
        self._written: list[_Written] = []
        self._thought: _Thought | None = None
        self._message: _Message | None = None
        self._calls: dict[int, _Call] = {}

    @property
    def items(self) -> list[Item]:
        return [written.item for written in self._written]

    def add(self, delta: Delta, logprobs: list[Logprob]) -> list[Event]:
        """Return the events for the next piece of the answer."""
        events: list[Event] = []
        if delta.reasoning:
            events += self._think(delta.reasoning)
        if delta.text:
            events += self._say(delta.text, logprobs)
        for piece in delta.tool_calls:
            events += self._call(piece)
        return events

    def end(self, status: Status) -> list[Event]:
        """Return the events that close what is open; the last item is as whole as `status` says."""
        words = self._message or self._thought
        still_open: list[_Written] = [*self._calls.values(), *([words] if words else [])]
        self._thought, self._message, self._calls = None, None, {}
        last = self._written[-1] if self._written else None
        return [
            event
            for written in still_open
            for event in written.end(status if written is last else "completed")
        ]

    def _think(self, text: str) -> list[Event]:
        events: list[Event] = []
        if self._thought is None:
            events = self._end_words()
            self._thought = _Thought(len(self._written), f"rs_{self._next_id()}")
            events += self._begin(self._thought)
        return [*events, self._thought.add(text)]

    def _say(self, text: str, logprobs: list[Logprob]) -> list[Event]:
        events: list[Event] = []
        if self._message is None:
            events = self._end_words()
            self._message = _Message(len(self._written), f"msg_{self._next_id()}")
            events += self._begin(self._message)
        return [*events, self._message.add(text, logprobs)]

    def _call(self, piece: ToolCallDelta) -> list[Event]:
        events: list[Event] = []
        call = self._calls.get(piece.index)
        if call is None:
            events = self._end_words()
            call = _Call(len(self._written), f"fc_{self._next_id()}", piece)
            self._calls[piece.index] = call
            events += self._begin(call)
        return [*events, call.add(piece.arguments)] if piece.arguments else events

    def _begin(self, written: "_Written") -> list[Event]:
        self._written.append(written)
        return written.begin()

    def _end_words(self) -> list[Event]:
        last = self._message or self._thought
        self._thought, self._message = None, None
        return last.end("completed") if last else []

    def _next_id(self) -> str:
        return f"{self._answer_id}{len(self._written):04x}"


class _Written(Protocol):
    """An item in the making."""

    @property
    def item(self) -> Item: ...

    def begin(self) -> list[Event]:
        """Return the events for a new item."""
        ...

    def end(self, status: Status) -> list[Event]:
        """Return the events for its end; from here on `item` is whole."""
        ...


class _Message:
    def __init__(self, index: int, id: str) -> None:
        self.item = MessageItem(id=id)
        self._index = index
        self._place = {"item_id": id, "output_index": index, "content_index": 0}
        self._texts: list[str] = []
        self._logprobs: list[Logprob] = []

    def begin(self) -> list[Event]:
        part = {"part": _shown(OutputText())}
        return [
            _item_event("added", self._index, self.item),
            {"type": "response.content_part.added", **self._place, **part},
        ]

    def add(self, text: str, logprobs: list[Logprob]) -> Event:
        self._texts.append(text)
        self._logprobs += logprobs
        what = {"delta": text, "logprobs": logprobs}
        return {"type": "response.output_text.delta", **self._place, **what}

    def end(self, status: Status) -> list[Event]:
        part = OutputText(text="".join(self._texts), logprobs=self._logprobs)
        self.item.content = [part]
        self.item.status = status
        what = {"text": part.text, "logprobs": part.logprobs}
        return [
            {"type": "response.output_text.done", **self._place, **what},
            {"type": "response.content_part.done", **self._place, "part": _shown(part)},
            _item_event("done", self._index, self.item),
        ]


class _Thought:
    def __init__(self, index: int, id: str) -> None:
        self.item = ReasoningItem(id=id)
        self._index = index
        self._place = {"item_id": id, "output_index": index, "summary_index": 0}
        self._texts: list[str] = []

    def begin(self) -> list[Event]:
        part = {"part": _shown(SummaryText())}
        return [
            _item_event("added", self._index, self.item),
            {"type": "response.reasoning_summary_part.added", **self._place, **part},
        ]

    def add(self, text: str) -> Event:
        self._texts.append(text)
        return {"type": "response.reasoning_summary_text.delta", **self._place, "delta": text}

    def end(self, status: Status) -> list[Event]:
        part = SummaryText("".join(self._texts))
        self.item.summary = [part]
        self.item.status = status
        text = {"text": part.text}
        return [
            {"type": "response.reasoning_summary_text.done", **self._place, **text},
            {"type": "response.reasoning_summary_part.done", **self._place, "part": _shown(part)},
            _item_event("done", self._index, self.item),
        ]


class _Call:
    def __init__(self, index: int, id: str, first: ToolCallDelta) -> None:
        call_id = first.id or f"call_{id}"
        self.item = CallItem(id=id, call_id=call_id, name=first.name or "")
        self._index = index
        self._place = {"item_id": id, "output_index": index}
        self._arguments: list[str] = []

    def begin(self) -> list[Event]:
        return [_item_event("added", self._index, self.item)]

    def add(self, arguments: str) -> Event:
        self._arguments.append(arguments)
        what = {"delta": arguments}
        return {"type": "response.function_call_arguments.delta", **self._place, **what}

    def end(self, status: Status) -> list[Event]:
        self.item.arguments = "".join(self._arguments)
        self.item.status = status
        what = {"arguments": self.item.arguments}
        return [
            {"type": "response.function_call_arguments.done", **self._place, **what},
            _item_event("done", self._index, self.item),
        ]


def _item_event(what: str, index: int, item: Item) -> Event:
    return {"type": f"response.output_item.{what}", "output_index": index, "item": _shown(item)}


def _shown(value: Any) -> Raw:
    """Return the value as it is now: it may change before the event is written."""
    return Raw(_encode(value))
