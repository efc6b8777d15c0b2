"""What guardrails decide is written behind the call's back, and nothing of it is lost."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Organization
from accounts.principal import Principal
from core.errors import DependencyDown
from llm.guardrails import check_request, decisions, rules
from llm.models import GuardrailDecision
from llm.models.guardrails import GuardrailRuleQuerySet
from llm.types import Call
from tests.guardrails_support import aadd_rule, decided
from tests.llm_support import MARKS, ask, call_by

pytestmark = MARKS

MAIL = "ada@example.com"


def refuse(*args: Any, **options: Any) -> Any:
    raise OperationalError("the database is away")


async def test_many_decisions_are_written_in_few_batches(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await aadd_rule("pii", "log")
    write = QuerySet.bulk_create
    sizes: list[int] = []

    def counting(self: Any, rows: Any, **options: Any) -> Any:
        sizes.append(len(rows))
        return write(self, rows, **options)

    monkeypatch.setattr(QuerySet, "bulk_create", counting)
    await asyncio.gather(*(check_request(ask(MAIL), call) for _ in range(200)))

    assert len(await decided()) == 200
    assert len(sizes) < 20


async def test_a_call_does_not_notice_that_decisions_cannot_be_written(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await aadd_rule("pii", "redact")
    monkeypatch.setattr(decisions, "OUTAGE_PAUSE", 0.02)
    with monkeypatch.context() as away:
        away.setattr(QuerySet, "bulk_create", refuse)
        sent = await check_request(ask(MAIL), call)
        await asyncio.sleep(0.1)

    assert sent.messages[0].content == "[email]"
    assert [row.kind for row in await decided()] == ["email"]


async def test_what_waits_is_bounded(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    await aadd_rule("pii", "log")
    monkeypatch.setattr(decisions, "OUTAGE_PAUSE", 0.02)
    monkeypatch.setattr(decisions, "MOST_WAITING", 5)
    with monkeypatch.context() as away:
        away.setattr(QuerySet, "bulk_create", refuse)
        for _ in range(20):
            await check_request(ask(MAIL), call)

    assert len(await decided()) == 5


async def test_a_decision_for_a_removed_organization_costs_no_other_its_own(call: Call) -> None:
    await aadd_rule("pii", "log")
    gone = await Organization.objects.acreate(name="Gone", slug="gone")
    theirs = call_by(gone)
    await check_request(ask("Hello"), theirs)  # the rules are known
    await gone.adelete()

    await asyncio.gather(*(check_request(ask(MAIL), one) for one in (call, theirs, call)))

    assert len(await decided()) == 2


async def test_who_called_is_recorded(call: Call) -> None:
    await aadd_rule("pii", "log")
    principal = Principal(
        call.principal.organization_id, user_name="ada" * 100, api_key_prefix="pk-12345678"
    )
    caller = Call(principal=principal, surface="api", request_id="r" * 500)

    await check_request(ask(MAIL), caller)

    (row,) = await decided()
    assert (row.user_name[:3], row.api_key_prefix, row.surface) == ("ada", "pk-12345678", "api")


async def test_without_the_database_the_rules_known_last_count(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await aadd_rule("pii", "redact")
    await check_request(ask("Hello"), call)
    monkeypatch.setattr(GuardrailRuleQuerySet, "active_for", refuse)
    rules._rules.clear()  # as when their age is up

    sent = await check_request(ask(MAIL), call)
    assert sent.messages[0].content == "[email]"

    rules.forget()
    with pytest.raises(DependencyDown):  # nobody can say what is forbidden
        await check_request(ask(MAIL), call)


@pytest.mark.usefixtures("call")
async def test_old_decisions_are_removed(settings: Settings) -> None:
    settings.GUARDRAIL_DAYS = 7
    organization = await Organization.objects.aget()
    for days in (1, 6, 8, 100):
        await GuardrailDecision.objects.acreate(
            decided_at=timezone.now() - timedelta(days=days),
            organization=organization,
            rule_name="a",
            check_name="pii",
            kind="email",
            direction="in",
            action="log",
            count=1,
        )

    assert await sync_to_async(decisions.remove_old)() == 2
    assert await sync_to_async(decisions.remove_old)() == 0
    assert len(await decided()) == 2
