"""What a time would have cost at other prices: first shown, then proposed as adjustments.

Usage records keep what they say. What an earlier re-rating has posted is part of the old cost, so
that the same time can be re-rated again.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from billing.corrections import posting
from billing.corrections.current_prices import CurrentPrices
from billing.corrections.posting import CorrectionRefused
from billing.models import (
    Adjustment,
    Budget,
    Correction,
    CorrectionKind,
    CorrectionState,
    Price,
    UsageRecord,
    UsageState,
)
from billing.pricing import TokenUsage, cost_usd

CHUNK = 2000
# What an adjustment has of the records that it is about.
ALIKE = (
    *("organization_id", "user_id", "user_name", "api_key_id", "api_key_prefix", "prompt_name"),
    *("provider", "model_asked", "model_served"),
)
CLASSES = tuple(one.name for one in fields(TokenUsage))
# A whole `UsageRecord` for each attempt would take three times as long.
READ = (*ALIKE, *CLASSES, "tags", "service_tier", "cost_usd", "started_at")


@dataclass(frozen=True, slots=True)
class Question:
    """Days of UTC, the last one included, a provider, and its models: none named are all."""

    first: date
    last: date
    provider: str
    models: tuple[str, ...] = ()
    price: Price | None = None  # for every model; else the prices that are in force now


@dataclass(slots=True)
class Line:
    """One model's part. US dollars; where a cost is unknown it is not in the sums."""

    model: str
    attempts: int = 0
    newly_priced: int = 0
    still_unpriced: int = 0
    old_usd: Decimal = Decimal(0)
    new_usd: Decimal = Decimal(0)

    @property
    def difference_usd(self) -> Decimal:
        return self.new_usd - self.old_usd


@dataclass(slots=True)
class Part:
    """What is to be added for attempts that are alike in all that an adjustment keeps."""

    attempts: int = 0
    amount_usd: Decimal = Decimal(0)


@dataclass(slots=True)
class Answer:
    """What would change, by model and by all that budgets tell apart."""

    lines: dict[str, Line] = field(default_factory=dict)
    parts: dict[tuple[Any, ...], Part] = field(default_factory=lambda: defaultdict(Part))

    @property
    def total(self) -> Line:
        total = Line("Total")
        for line in self.lines.values():
            total.attempts += line.attempts
            total.newly_priced += line.newly_priced
            total.still_unpriced += line.still_unpriced
            total.old_usd += line.old_usd
            total.new_usd += line.new_usd
        return total

    @property
    def rows(self) -> list[Line]:
        """Return the lines by model, and the total as the last."""
        return [*(self.lines[model] for model in sorted(self.lines)), self.total]

    @property
    def changes(self) -> bool:
        return any(part.amount_usd for part in self.parts.values())

    def adjustments(self) -> list[Adjustment]:
        """Return a row for each part whose cost changes."""
        return [
            Adjustment(
                **dict(zip(ALIKE, key[:-3], strict=True)),
                tags=list(key[-3]),
                day=key[-2],
                at=key[-1],
                attempts=part.attempts,
                amount_usd=part.amount_usd,
            )
            for key, part in sorted(self.parts.items(), key=lambda item: str(item[0]))
            if part.amount_usd
        ]


def dry_run(question: Question) -> Answer:
    """Return what would change; nothing is written."""
    answer = Answer()
    by_moment = _with_calendars_of_their_own()
    prices = CurrentPrices(question.provider, question.price)
    for record in _records(question):
        line = answer.lines.setdefault(record.model_served, Line(record.model_served))
        new = _new_cost(record, prices)
        _count(line, record.cost_usd, new)
        if new is not None:
            part = answer.parts[_key(record, by_moment)]
            part.attempts += 1
            part.amount_usd += new - (record.cost_usd or 0)
    _take_off_what_was_posted(question, answer)
    return answer


def propose(question: Question, *, by: User, reason: str) -> Correction:
    """Write down the difference for a second person to post.

    Raises `CorrectionRefused` where nothing changes, or while another one of those days waits.
    """
    if _rerated(question, CorrectionState.PROPOSED).exists():
        raise CorrectionRefused("Another re-rating of these days waits for a second person.")
    return posting.propose(
        by=by,
        reason=reason,
        adjustments=dry_run(question).adjustments(),
        kind=CorrectionKind.RERATE,
    )


def _records(question: Question) -> Iterator[Any]:
    """Yield what counts of the settled attempts: none from the cache, none that used nothing."""
    records = UsageRecord.objects.filter(
        state=UsageState.SETTLED,
        is_cache_hit=False,
        provider=question.provider,
        started_at__gte=datetime.combine(question.first, time(), UTC),
        started_at__lt=datetime.combine(question.last, time(), UTC) + timedelta(days=1),
    )
    if question.models:
        records = records.filter(model_served__in=question.models)
    for record in records.order_by().values_list(*READ, named=True).iterator(CHUNK):
        if any(getattr(record, name) for name in CLASSES):
            yield record


def _new_cost(record: Any, prices: CurrentPrices) -> Decimal | None:
    price = prices.of(record.model_served)
    if price is None:
        return None
    usage = TokenUsage(*(getattr(record, name) for name in CLASSES))
    return cost_usd(price, usage, record.service_tier)


def _count(line: Line, old: Decimal | None, new: Decimal | None) -> None:
    line.attempts += 1
    line.old_usd += old or 0
    # What has no price now keeps its cost.
    line.new_usd += (old or 0) if new is None else new
    if old is None:
        line.newly_priced += new is not None
        line.still_unpriced += new is None


def _key(record: Any, by_moment: set[int]) -> tuple[Any, ...]:
    """Return what the record is counted with: by day, or by quarter of an hour if it matters."""
    started_at = record.started_at.astimezone(UTC)
    # Midnight in any time zone is on a quarter of an hour.
    quarter = started_at.replace(minute=started_at.minute // 15 * 15, second=0, microsecond=0)
    alike = tuple(getattr(record, name) for name in ALIKE)
    at = quarter if record.organization_id in by_moment else None
    return (*alike, tuple(sorted(record.tags)), started_at.date(), at)


def _with_calendars_of_their_own() -> set[int]:
    """Return the organizations with budgets whose days do not begin with those of UTC."""
    budgets = Budget.objects.exclude(time_zone="UTC").order_by()
    return set(budgets.values_list("organization_id", flat=True).distinct())


def _rerated(question: Question, state: CorrectionState) -> QuerySet[Adjustment]:
    found = Adjustment.objects.filter(
        correction__kind=CorrectionKind.RERATE,
        correction__state=state,
        provider=question.provider,
        day__range=(question.first, question.last),
    )
    return found.filter(model_served__in=question.models) if question.models else found


def _take_off_what_was_posted(question: Question, answer: Answer) -> None:
    for row in _rerated(question, CorrectionState.POSTED).iterator(CHUNK):
        line = answer.lines.get(row.model_served)
        if line is None:
            continue
        line.old_usd += row.amount_usd
        key = (*(getattr(row, name) for name in ALIKE), tuple(sorted(row.tags)), row.day, row.at)
        answer.parts[key].amount_usd -= row.amount_usd
