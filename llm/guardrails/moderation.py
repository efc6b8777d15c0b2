"""Moderation by a model: a provider is asked whether a text may pass.

It knows no place in a text, so a rule records or refuses. For a rule that refuses the call waits,
and fails where there is no verdict; for one that records a model is asked behind the call's back.
"""

from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace

import structlog
from msgspec.structs import replace as replaced

from core.errors import AppError
from core.open_work import OpenWork
from llm import moderation
from llm.guardrails import decisions
from llm.guardrails.blocked import answer_blocked, request_blocked
from llm.guardrails.findings import Way
from llm.guardrails.rules import Rule
from llm.guardrails.scan import failed
from llm.models.guardrails import Action
from llm.types import Call, Delta

logger = structlog.get_logger(__name__)

TASK = "moderation"  # routes may prefer a deployment by it
SEGMENT = 600  # characters of an answer that are judged together, and so held back
OVERLAP = 200  # characters of what was judged before, for what goes over the edge
LONGEST = 16_000  # characters that a model is shown at once
MOST_LATER = 100  # verdicts of one process that are waited for behind the calls' backs
CLOSE_SECONDS = 5.0


async def check_request(texts: Sequence[str], call: Call, rules: Sequence[Rule]) -> None:
    """Raise `Blocked` where a rule refuses what the model says of the texts."""
    if not rules:
        return
    text = "\n\n".join(filter(None, texts))
    for rule in rules:
        if rule.action != Action.BLOCK:
            later(_judge(rule, text, call, "in"), rule)
        elif categories := await _judge(rule, text, call, "in"):
            raise request_blocked(rule.check_name, categories[0])


class Gate:
    """Holds back an answer, some sentences at a time, until a model has looked at them."""

    def __init__(self, rules: Sequence[Rule], call: Call) -> None:
        self._blocking = [rule for rule in rules if rule.action == Action.BLOCK]
        self._recording = [rule for rule in rules if rule.action != Action.BLOCK]
        self._call = call
        self._held: list[Delta] = []
        self._size = 0  # characters held
        self._before = ""
        self._told: list[str] = []

    async def feed(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return what can be told now; raise `Blocked` or `Unavailable`."""
        if self._recording:
            self._told += map(_text_of, deltas)
        if not self._blocking:
            return deltas
        self._held += deltas
        self._size += sum(len(_text_of(delta)) for delta in deltas)
        return await self._judged() if self._size >= SEGMENT else ()

    async def finish(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return what is left."""
        rest = await self.feed(deltas)
        told, self._told = "".join(self._told), []
        for rule in self._recording if told else ():
            later(_judge(rule, told, self._call, "out"), rule)
        return [*rest, *(await self._judged())]

    async def _judged(self) -> Sequence[Delta]:
        held, self._held, self._size = self._held, [], 0
        text = self._before + "".join(map(_text_of, held))
        for rule in self._blocking if text != self._before else ():
            if categories := await _judge(rule, text, self._call, "out"):
                raise answer_blocked(rule.check_name, categories[0])
        self._before = text[-OVERLAP:]
        return held


def later(work: Coroutine[None, None, object], rule: Rule) -> None:
    """Go on with `work` when the call is over; nobody waits for it but `close`."""
    if len(_later) < MOST_LATER:
        _later.go_on(work)
    else:
        work.close()
        failed(rule)


async def close() -> None:
    """Return when every verdict is in, or it has taken too long."""
    await _later.finish(CLOSE_SECONDS)
    await _later.cancel()


async def _judge(rule: Rule, text: str, call: Call, way: Way) -> Sequence[str]:
    """Return why the model flags the text, and have it recorded; raise `Unavailable`."""
    # Staff want it moderated, so it does not matter for which models the caller's key is good.
    asker = replace(call.principal, allowed_models=())
    asking = replaced(call, principal=asker, task=TASK, prompt=None)
    categories: list[str] = []
    try:
        for start in range(0, len(text), LONGEST):
            piece = text[start : start + LONGEST]
            verdict = await moderation.check(piece, model=rule.settings.model, call=asking)
            if verdict.flagged:
                categories += verdict.categories or ("flagged",)
    except AppError as error:
        logger.warning("llm.moderation_failed", rule=rule.name, error=type(error).__name__)
        failed(rule)
    if categories:
        decisions.note(call, Counter((rule, name) for name in dict.fromkeys(categories)), way)
    return categories


def _text_of(delta: Delta) -> str:
    return "".join([delta.reasoning, delta.text, *(call.arguments for call in delta.tool_calls)])


_later = OpenWork()
