"""What tests of the guardrails share: rules, and what was decided."""

from contextlib import aclosing
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from core.errors import AppError
from llm import service
from llm.guardrails import decisions, rules
from llm.guardrails.rules import Rule
from llm.guardrails.settings import RuleSettings, check_for
from llm.models import GuardrailDecision, GuardrailRule
from llm.types import Call, ChatRequest, Event


def add_rule(check_name: str, action: str, direction: str = "in", **more: Any) -> GuardrailRule:
    """Make a rule for everybody, unless told otherwise; it counts at once."""
    settings = {
        name: more.pop(name)
        for name in ("kinds", "region", "threshold", "with_users", "words", "patterns", "model")
        if name in more
    }
    more.setdefault("name", f"{check_name} {action} {GuardrailRule.objects.count()}")
    rule = GuardrailRule.objects.create(
        check_name=check_name, action=action, direction=direction, settings=settings, **more
    )
    rules.forget()
    return rule


def a_rule(check_name: str, action: str = "redact", **settings: Any) -> Rule:
    """Return a rule that is in no database."""
    of_rule = RuleSettings(**settings)
    return Rule(
        name=f"{check_name} {action}",
        check_name=check_name,
        action=action,
        direction="both",
        organization_id=None,
        prompt_name="",
        surface="",
        settings=of_rule,
        check=check_for(check_name, of_rule),
    )


aadd_rule = sync_to_async(add_rule)


async def decided() -> list[GuardrailDecision]:
    """Return what was decided, the oldest first."""
    await decisions.close()
    return [row async for row in GuardrailDecision.objects.order_by("decided_at", "kind")]


async def until_it_fails(request: ChatRequest, call: Call) -> tuple[list[Event], AppError]:
    """Return what is told of an answer that breaks, and why it does."""
    events: list[Event] = []

    async def listen() -> None:
        async with aclosing(service.stream(request, call)) as answer:
            async for event in answer:
                events.append(event)

    with pytest.raises(AppError) as caught:
        await listen()
    return events, caught.value
