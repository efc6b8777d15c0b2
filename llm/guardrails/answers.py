"""An answer on its way to the caller: looked through while it comes."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from core.errors import AppError
from llm.guardrails import decisions, moderation, rules
from llm.guardrails.placeholders import Placeholders
from llm.guardrails.requests import in_json
from llm.guardrails.rules import Rule
from llm.guardrails.thinking import Thinking
from llm.guardrails.window import Window
from llm.types import Call, Delta, Event, Finished, ToolCallDelta


def watch(events: AsyncGenerator[Event, None], call: Call) -> AsyncGenerator[Event, None]:
    """Return the answer as the rules let it pass; `events` itself where none looks at it."""
    known = rules.known(call)
    if known is not None and not known.outgoing:
        return events
    return _watched(events, call)


async def _watched(events: AsyncGenerator[Event, None], call: Call) -> AsyncGenerator[Event, None]:
    async with aclosing(events):
        outgoing = (await rules.applying(call)).outgoing
        made = checked(events, call, outgoing) if outgoing else events
        async with aclosing(made):
            async for event in made:
                yield event


async def checked(
    events: AsyncGenerator[Event, None], call: Call, outgoing: Sequence[Rule]
) -> AsyncGenerator[Event, None]:
    """Yield the events; raise `Blocked` where a rule breaks the answer off.

    Whoever closes it closes `events`, which stops the model and settles what it has produced.
    """
    found: decisions.Found = Counter()
    watcher = Watcher([rule for rule in outgoing if rule.check], found)
    gate = moderation.Gate([rule for rule in outgoing if not rule.check], call)
    try:
        while (event := await _next(events)) is not None and not isinstance(event, AppError):
            for told in await _told(event, watcher, gate):
                yield told
        # Where the model has failed, what it said before is still the caller's.
        for told in await gate.finish(watcher.finish()):
            yield told
    finally:
        if found:
            decisions.note(call, found, "out")
    if event is not None:
        raise event


async def _told(event: Event, watcher: "Watcher", gate: moderation.Gate) -> Sequence[Event]:
    """Return what can be told now that `event` has come; nothing is held back beyond the end."""
    if isinstance(event, Delta):
        return await gate.feed(watcher.feed(event))
    if isinstance(event, Finished):
        return [*await gate.finish(watcher.finish()), event]
    return [event]


async def _next(events: AsyncGenerator[Event, None]) -> Event | AppError | None:
    """Return the next event, or how the answer failed; `None` at its end."""
    try:
        return await anext(events, None)
    except AppError as error:
        return error


class Watcher:
    """Looks through text, thoughts and tool calls, each by itself."""

    def __init__(self, rules: Sequence[Rule], found: decisions.Found) -> None:
        self._rules = rules
        self._found = found
        self._is_changing = any(rule.changes for rule in rules)
        self._placeholders = Placeholders()
        self._text = self._window()
        self._thinking = Thinking(self._window())
        self._arguments: dict[int, list[str]] = {}

    def feed(self, delta: Delta) -> list[Delta]:
        """Return what can be told now. Where nothing may be changed, that is all, as it came."""
        text = self._text.feed(delta.text)
        thoughts = self._thinking.feed(delta)
        for call in delta.tool_calls:
            self._arguments.setdefault(call.index, []).append(call.arguments)
        if not self._is_changing:
            return [delta]
        # The vendor's own bytes hold what was not looked at: the edge writes the answer anew.
        begun = [replace(call, arguments="") for call in delta.tool_calls if call.id or call.name]
        reasoning = "".join([thought.text for thought in thoughts])
        own = thoughts if delta.thoughts else ()
        return _said(Delta(text, tuple(begun), reasoning, thoughts=own))

    def finish(self) -> list[Delta]:
        """Return what was held back; the arguments of tool calls come here, each in one piece."""
        text, reasoning = self._text.finish(), self._thinking.finish()
        arguments, self._arguments = self._arguments, {}
        calls = [
            ToolCallDelta(index=index, arguments=in_json("".join(pieces), self._looked_through))
            for index, pieces in arguments.items()
        ]
        return _said(Delta(text, tuple(calls), reasoning)) if self._is_changing else []

    def _looked_through(self, text: str) -> str:
        window = self._window()
        return window.feed(text) + window.finish()

    def _window(self) -> Window:
        return Window(self._rules, self._found, self._placeholders)


def _said(delta: Delta) -> list[Delta]:
    is_empty = not (delta.text or delta.reasoning or delta.tool_calls or delta.thoughts)
    return [] if is_empty else [delta]
