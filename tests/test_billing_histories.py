"""Two hundred histories of calls, prices, budgets and faults: a second opinion agrees."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import singledispatchmethod
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings

from accounts import keys
from accounts.models import ApiKey, Organization, User
from accounts.principal import Principal
from billing import books, ledger_writer, prices, sweeper
from billing.charges import charge_usd
from billing.entries import Attempt, Entry, Hold, Renewal, Settle, Settlement, void
from billing.entries import Hit as HitEntry
from billing.errors import BudgetExceeded
from billing.models import Budget, BudgetPeriod, Outcome, Overrun, UsageRecord, UsageState
from billing.pricing import ORDINARY, PriceSnapshot, TokenUsage, worst_case_usd
from core.ids import new_id
from tests.billing_histories import (
    INPUT_TOKENS,
    KNOWN,
    NOTHING,
    Batch,
    Call,
    Change,
    End,
    Hit,
    Later,
    NewBudget,
    NewCall,
    NewPrice,
    SecondOpinion,
    Sign,
    histories,
)
from tests.billing_support import settlement

pytestmark = pytest.mark.django_db(transaction=True)

EVERY_TIME_THE_SAME = settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
AMOUNTS = ["budget_id", "starts_at", "ends_at", "spent_usd", "held_usd", "peak_usd", "overrun_usd"]
BEGINNING = datetime(2026, 11, 28, 9, tzinfo=UTC)  # a Saturday; two days later a month begins


class History:
    """One organization's history as it happens, looked over after each step."""

    def __init__(self, clock: "Clock") -> None:
        clock.now = BEGINNING
        self._clock = clock
        self._lease = timedelta(seconds=django_settings.LEASE_SECONDS)
        self._organization = Organization.objects.create(name="Acme", slug=new_id().hex)
        self._users = {
            name: User.objects.get_or_create(username=name)[0] for name in ("ann", "bob")
        }
        self._provider = f"acme-{new_id().hex}"  # prices are for all organizations
        self._key: ApiKey = keys.create(organization=self._organization, name="job")[0]
        self._opinion = SecondOpinion()

    @singledispatchmethod
    def take(self, step: Any) -> None:
        raise TypeError(f"no step: {step}")

    @take.register
    def _(self, step: NewBudget) -> None:
        budget = Budget.objects.create(
            organization=self._organization,
            user=self._users[step.user] if step.user else None,
            api_key=self._key if step.has_key else None,
            name=f"Budget {len(self._opinion.budgets)}",
            prompt_name=step.prompt_name,
            model=step.model,
            tag=step.tag,
            period=step.period,
            time_zone=step.time_zone,
            limit_usd=step.limit_usd,
            is_hard=step.is_hard,
        )
        self._opinion.budgets.append(budget)

    @take.register
    def _(self, step: Change) -> None:
        budgets = self._opinion.budgets
        budget = budgets[step.which % len(budgets)]
        for name, value in step.change.items():
            setattr(budget, name, value)
        budget.save(update_fields=list(step.change))

    @take.register
    def _(self, step: NewPrice) -> None:
        begins = self._clock.now + timedelta(hours=step.hours)
        where = {"provider": self._provider, "model": step.model}
        if (step.model, begins) in self._opinion.prices:
            with pytest.raises(prices.PriceBegins):
                prices.add(**where, price=step.price, valid_from=begins)
        else:
            prices.add(**where, price=step.price, valid_from=begins)
            self._opinion.prices[step.model, begins] = step.price

    @take.register
    def _(self, step: Later) -> None:
        self._clock.now += timedelta(hours=step.hours)
        if step.is_swept:
            self.sweep()

    @take.register
    def _(self, step: Batch) -> None:
        known = list(self._opinion.calls.values())
        entries: list[Entry] = []
        for one in step.entries:
            if isinstance(one, NewCall):
                entries.append(Hold(self._attempt(one)))
            elif isinstance(one, Hit):
                made = replace(self._attempt(one.call), is_cache_hit=True)
                entries.append(HitEntry(made, settlement(made, "0")))
            elif known and isinstance(one, End):
                entries.append(_end(known[one.which % len(known)], one))
            elif known and isinstance(one, Sign):
                made = known[one.which % len(known)].attempt
                entries.append(Renewal(made.id, one.output_tokens))
        for number in range(1 + step.is_repeated):
            self._book(entries, may_be_written=number > 0)
            self.check()

    def sweep(self) -> None:
        """Let the sweeper come by: what has given no sign for too long ends."""
        sweeper.sweep()
        for call in self._opinion.calls.values():
            if call.is_open and call.lease_ends < self._clock.now:
                call.end(call.output_tokens)
        self.check()

    def check(self) -> None:
        """Compare every period with the second opinion, and with its limit."""
        budgets = {budget.pk: budget for budget in self._opinion.budgets}
        periods = BudgetPeriod.objects.filter(budget__in=budgets).values_list(*AMOUNTS)
        for budget_id, starts_at, ends_at, spent, held, peak, overrun in periods:
            budget = budgets[budget_id]
            assert (spent, held) == self._opinion.amounts(budget, starts_at, ends_at)
            if budget.is_hard and peak <= budget.limit_usd:
                assert spent + held <= budget.limit_usd + overrun

    def close(self) -> None:
        """Let all that is open be swept; nothing may stay held, and the books balance."""
        self._clock.now += 2 * self._lease
        self.sweep()
        records = UsageRecord.objects.filter(organization=self._organization, is_cache_hit=False)
        costs = {call.attempt.id: call.cost_usd for call in self._opinion.calls.values()}
        assert dict(records.values_list("pk", "cost_usd")) == costs
        assert not records.filter(state=UsageState.STARTED).exists()
        periods = BudgetPeriod.objects.filter(budget__organization=self._organization)
        assert not periods.exclude(held_usd=0).exists()
        assert books.differences() == []

    def _book(self, entries: list[Entry], *, may_be_written: bool) -> None:
        """Book the batch here and there: what ends makes room for what begins."""
        results = ledger_writer.write(entries, may_be_written=may_be_written)
        for entry in entries:
            if isinstance(entry, Settle):
                self._settle(entry.settlement)
        for entry in entries:
            call = self._opinion.calls.get(entry.usage_id) if isinstance(entry, Renewal) else None
            if call is not None and call.is_open and isinstance(entry, Renewal):
                call.output_tokens = entry.output_tokens
                call.lease_ends = self._clock.now + self._lease
        for entry, result in zip(entries, results, strict=True):
            if isinstance(entry, Hold):
                self._admit(entry.attempt, result)
            else:
                assert result is None

    def _settle(self, told: Settlement) -> None:
        is_void = told.outcome == Outcome.FAILED
        self._opinion.calls[told.usage_id].end(told.usage.output_tokens, is_void=is_void)

    def _admit(self, attempt: Attempt, result: Decimal | Exception | None) -> None:
        if attempt.id in self._opinion.calls:
            assert result is None  # asked again
            return
        opinion = self._opinion.admit(attempt, self._clock.now, self._lease)
        if isinstance(opinion, Budget):
            assert isinstance(result, BudgetExceeded)
            assert result.details["budget"] == opinion.name
        else:
            assert result == opinion  # what it leaves

    def _attempt(self, call: NewCall) -> Attempt:
        user = self._users[call.user] if call.user else None
        price = prices.in_force(self._provider, call.model)
        return Attempt(
            id=new_id(),
            request_id="history",
            attempt=1,
            surface="test",
            principal=Principal(
                organization_id=self._organization.pk,
                user_id=user.pk if user else None,
                api_key_id=self._key.pk if call.has_key else None,
            ),
            provider=self._provider,
            model_asked=call.model,
            model_served=call.model,
            input_tokens=INPUT_TOKENS,
            hold_usd=_worst_case(price, call.most_tokens),
            price=price,
            prompt_name=call.prompt_name,
            tags=call.tags,
        )


class Clock:
    """What time it is."""

    now = BEGINNING


def _end(call: Call, end: End) -> Settle:
    if end.is_void:
        return Settle(void(call.attempt, Outcome.FAILED, "TimedOut"))
    made = call.attempt
    usage = TokenUsage(input_tokens=INPUT_TOKENS, output_tokens=end.output_tokens)
    cost = charge_usd(made.price, usage, ORDINARY, provider=made.provider, model=made.model_served)
    return Settle(replace(settlement(made, None, usage=usage), cost_usd=cost))


def _worst_case(price: PriceSnapshot | None, most_tokens: int) -> Decimal:
    if price is None:
        return NOTHING
    return worst_case_usd(price, input_tokens=INPUT_TOKENS, max_output_tokens=most_tokens)


@EVERY_TIME_THE_SAME
@given(steps=histories)
@example(steps=KNOWN)
def run_histories(clock: Clock, steps: list[Any]) -> None:
    history = History(clock)
    for step in steps:
        history.take(step)
    history.close()


def test_the_books_agree_with_a_second_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    monkeypatch.setattr(sweeper, "_database_has_just_started", lambda: False)

    run_histories(clock)

    assert Overrun.objects.exists()
    assert UsageRecord.objects.filter(outcome=Outcome.INTERRUPTED).exists()
    assert BudgetPeriod.objects.filter(opening_usd__gt=Decimal(0)).exists()
