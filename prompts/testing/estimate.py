"""What a run will cost, before anything is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_UP, Decimal

from asgiref.sync import async_to_sync
from django.db.models import Avg
from django.utils import timezone

from accounts.principal import Principal
from billing.models import Outcome, UsageRecord
from core.errors import AppError
from llm import forecast
from prompts.models import CaseResult, Dataset, DatasetRun
from prompts.testing import asks, judging, worst_case
from prompts.testing.asks import Ask, Question
from prompts.testing.checks import AnyCheck, Judge, Similar
from prompts.testing.running import CONCURRENCY
from prompts.testing.runs import MOST_CAP

SAMPLE = 200  # asks that are counted; of more, every so-manieth
RECENT = timedelta(days=7)
NEWEST = 500  # usage records of which the mean is taken
NOT_KNOWN = 500  # tokens of an answer, where nothing tells
JUDGEMENT = 150  # tokens
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take."""

    asks: int
    usd: Decimal | None  # None: a model without a price
    suggested_cap_usd: Decimal
    unpriced: tuple[str, ...] = ()  # models
    problem: str = ""  # of a case that does not fit a version; it will be a failed result


@dataclass(frozen=True, slots=True)
class _Counted:
    usd: Decimal | None = Decimal(0)
    most_usd: Decimal = Decimal(0)
    problem: str = ""


def estimate(
    *, dataset: Dataset, versions: Sequence[int], models: Sequence[str], principal: Principal
) -> Estimate:
    """Return what a run of these versions and models will cost, judges included.

    Answers are as long as in the past, or as `max_tokens` allows. For code that is not async.
    """
    run = DatasetRun(dataset=dataset, versions=list(versions), model_names=list(models))
    all_asks = asks.all_of(run)
    step = -(-len(all_asks) // SAMPLE) or 1
    sample = all_asks[::step]
    counted = async_to_sync(_count_all)(sample, principal, _past_lengths(dataset))
    return _summed(all_asks, sample, counted)


def _summed(all_asks: list[Ask], sample: list[Ask], counted: list[_Counted]) -> Estimate:
    unpriced = {ask.model for ask, one in zip(sample, counted, strict=True) if one.usd is None}
    known = sum((one.usd or Decimal(0) for one in counted), Decimal(0))
    usd = known * len(all_asks) / max(len(sample), 1)
    most = max((one.most_usd for one in counted), default=Decimal(0))
    cap = (usd * Decimal("1.5") + most * CONCURRENCY).quantize(CENT, ROUND_UP)
    return Estimate(
        asks=len(all_asks),
        usd=None if unpriced else usd.quantize(Decimal("1e-12")),
        suggested_cap_usd=min(max(cap, CENT), MOST_CAP),
        unpriced=tuple(sorted(unpriced)),
        problem=next((one.problem for one in counted if one.problem), ""),
    )


async def _count_all(
    sample: list[Ask], principal: Principal, lengths: dict[str, float]
) -> list[_Counted]:
    return [await _count(ask, principal, lengths) for ask in sample]


async def _count(ask: Ask, principal: Principal, lengths: dict[str, float]) -> _Counted:
    try:
        question = await asks.question_of(ask, principal)
        most = await worst_case.most_usd(question, principal)
        length = _length(question, lengths.get(ask.model) or lengths.get(""))
        costs = [
            await forecast.expected_usd(question.request, principal, output_tokens=length),
            *[
                await _check_usd(check, question, length, principal)
                for check in question.content.checks
            ],
        ]
    except AppError as error:
        return _Counted(problem=f"{ask.case.name}, version {ask.version}: {error.message}")
    known = [cost for cost in costs if cost is not None]
    return _Counted(sum(known, Decimal(0)) if len(known) == len(costs) else None, most)


def _length(question: Question, past: float | None) -> int:
    most = question.request.max_tokens
    if past is None:
        return most or NOT_KNOWN
    return min(round(past), most) if most else round(past)


async def _check_usd(
    check: AnyCheck, question: Question, length: int, principal: Principal
) -> Decimal | None:
    if isinstance(check, Similar):
        return await forecast.texts_expected_usd(
            [check.text], check.model, principal, more_input_tokens=length
        )
    if isinstance(check, Judge):
        asked = judging.request_to(check, question=question.text, answer="")
        return await forecast.expected_usd(
            asked, principal, output_tokens=JUDGEMENT, more_input_tokens=length
        )
    return Decimal(0)


def _past_lengths(dataset: Dataset) -> dict[str, float]:
    """Return the mean length of answers by model in past runs; "": in all other calls."""
    past = CaseResult.objects.filter(run__dataset=dataset, error="", output_tokens__gt=0)
    found = dict(past.order_by().values_list("model").annotate(Avg("output_tokens")))
    calls = UsageRecord.objects.filter(
        organization_id=dataset.prompt.organization_id,
        prompt_name=dataset.prompt.name,
        started_at__gte=timezone.now() - RECENT,
        outcome=Outcome.SUCCESS,
    ).order_by("-started_at")
    mean = calls[:NEWEST].aggregate(mean=Avg("output_tokens"))["mean"]
    return {**found, "": float(mean)} if mean else found
