"""A request on its way to a model: looked through, redacted or refused."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from msgspec.structs import replace

from llm.guardrails import decisions, documents, moderation
from llm.guardrails.blocked import request_blocked
from llm.guardrails.placeholders import Placeholders
from llm.guardrails.rules import Rule
from llm.guardrails.scan import Budget, Hit, Place, places, scan
from llm.models.guardrails import CheckName
from llm.types import (
    Call,
    ChatRequest,
    ForAnthropic,
    FunctionCall,
    Message,
    TextPart,
    ToolCall,
)

DEEPEST = 100  # levels of JSON that is read as such
MODERATED = ("user", "tool")  # who is moderated; staff and models are not on trial
LONG = 20_000  # characters; more are looked through in a thread

Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a request, and who wrote it."""

    text: str
    role: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in the texts of a request, in their order."""

    texts: Sequence[Text]
    hits: Sequence[list[Hit]]

    @property
    def found(self) -> decisions.Found:
        """How often each rule has found each kind."""
        return Counter((hit.rule, hit.kind) for hits in self.hits for hit in hits)

    @property
    def blocked(self) -> Place | None:
        """The first place because of which the request may not be sent."""
        every = (place for hits in self.hits for place in places(hits))
        return next((place for place in every if place.is_blocked), None)

    def redacted(self) -> list[str]:
        """Return the texts with placeholders, the same thing under the same name in all of them."""
        of_texts = [places(hits) for hits in self.hits]
        placeholders = Placeholders()
        for text, found in zip(self.texts, of_texts, strict=True):
            for place in found:
                placeholders.note(place.kind, text.text[place.start : place.end])
        placeholders.complete()
        pairs = zip(self.texts, of_texts, strict=True)
        return [_replaced(text.text, found, placeholders) for text, found in pairs]


async def checked(request: ChatRequest, call: Call, rules: Sequence[Rule]) -> ChatRequest:
    """Return the request as the rules let it pass; raise `Blocked` or `Unavailable`."""
    local = [rule for rule in rules if rule.check]
    texts = texts_of(request)
    if sum(len(text.text) for text in texts) > LONG:
        verdict = await sync_to_async(judge, thread_sensitive=False)(texts, local)
    else:
        verdict = judge(texts, local)
    found = verdict.found
    if found:
        decisions.note(call, found, "in")
    if place := verdict.blocked:
        raise request_blocked(place.check_name, place.kind)
    if any(rule.changes for rule, _ in found):
        request = with_texts(request, verdict.redacted())
    judges = [rule for rule in rules if not rule.check]
    if judges:  # the model that judges is not shown what was just replaced either
        said = [text.text for text in texts_of(request) if text.role in MODERATED]
        await moderation.check_request(said, call, judges)
    return request


def judge(texts: Sequence[Text], rules: Sequence[Rule]) -> Verdict:
    """Return what the rules find in the texts."""
    budget = Budget()
    return Verdict(texts, [_hits(text, rules, budget) for text in texts])


def texts_of(request: ChatRequest) -> list[Text]:
    """Return every text that would be sent, with who wrote it."""
    found: list[Text] = []

    def note(text: str, role: str) -> str:
        found.append(Text(text, role))
        return text

    _walked(request, note)
    return found


def with_texts(request: ChatRequest, texts: Sequence[str]) -> ChatRequest:
    """Return the request with other texts, in the order of `texts_of`."""
    following = iter(texts)
    return replace(request, messages=_walked(request, lambda text, role: next(following)))


def _hits(text: Text, rules: Sequence[Rule], budget: Budget) -> list[Hit]:
    """Return what is found; instructions only where the text is not to be trusted."""
    screens = [rule for rule in rules if rule.check_name == CheckName.INJECTION]
    hits = scan([rule for rule in rules if rule not in screens], text.text, "in", budget)
    for rule in screens:
        for start, end in _untrusted(text, rule):
            part = scan([rule], text.text[start:end], "in", budget)
            hits += [hit.moved(start) for hit in part]
    return hits


def _untrusted(text: Text, rule: Rule) -> Sequence[tuple[int, int]]:
    """Return the parts that others than the caller's own people have written."""
    whole = [(0, len(text.text))]
    if text.role == "tool" or (text.role == "user" and rule.settings.with_users):
        return whole
    return documents.spans(text.text)


def _replaced(text: str, found: Sequence[Place], placeholders: Placeholders) -> str:
    pieces, position = [], 0
    for place in found:
        pieces.append(text[position : place.start])
        pieces.append(placeholders.text(place.kind, text[place.start : place.end]))
        position = place.end
    return "".join([*pieces, text[position:]]) if found else text


def _walked(request: ChatRequest, change: Callable[[str, str], str]) -> tuple[Message, ...]:
    """Return the messages with each text changed, always in the same order."""
    return tuple([_message(message, change) for message in request.messages])


def _message(message: Message, change: Callable[[str, str], str]) -> Message:
    def told(text: str) -> str:
        return change(text, message.role)

    content = message.content
    if isinstance(content, str):
        content = in_json(content, told) if message.role == "tool" else told(content)
    elif content is not None:
        content = tuple(
            [TextPart(told(part.text)) if isinstance(part, TextPart) else part for part in content]
        )
    calls = message.tool_calls
    if calls:
        calls = tuple([_tool_call(call, told) for call in calls])
    own = _unchanged_thoughts(message.anthropic, told)
    if (content, calls, own) == (message.content, message.tool_calls, message.anthropic):
        return message
    return replace(message, content=content, tool_calls=calls, anthropic=own)


def _unchanged_thoughts(own: ForAnthropic | None, change: Change) -> ForAnthropic | None:
    """Return it without the thoughts that would be changed: their signatures were good no more."""
    if own is None or not own.thoughts:
        return own
    kept = [thought for thought in own.thoughts if change(thought.text) == thought.text]
    return replace(own, thoughts=tuple(kept))


def _tool_call(call: ToolCall, change: Change) -> ToolCall:
    arguments = in_json(call.function.arguments, change)
    return replace(call, function=FunctionCall(call.function.name, arguments))


def in_json(text: str, change: Change) -> str:
    """Return JSON with each text and whole number changed; what is no JSON is one text.

    It is written anew only where something has changed, so that a number stays as it was.
    """
    value = _parsed(text)
    if value is None:
        return change(text)
    changed = _value(value, change)
    return text if changed == value else json.dumps(changed, ensure_ascii=False)


def _parsed(text: str) -> Any:
    """Return the object or list that a text is in JSON, else `None`."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return value if _is_shallow(value, DEEPEST) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # the text would hold more than what is looked at
        raise ValueError("A name is given twice.")
    return found


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


def _value(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _value(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_value(one, change) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        digits = str(value)
        changed = change(digits)
        return value if changed == digits else changed
    return value
