"""What a run costs at most, and what is left to pay it with."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from asgiref.sync import async_to_sync

from accounts.principal import Principal
from billing.reports.budgets import Standing, of_person, standings
from core.errors import AppError
from llm import forecast
from llm.routing import dry_run
from llm.routing.dry_run import When
from prompts.playground.questions import TAGS, Question, call_of


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one column costs at most; with a refusal, it would not be asked."""

    question: Question
    most_usd: Decimal | None = None  # None: a model without a price
    refusal: str = ""


def estimates(questions: Sequence[Question], principal: Principal) -> list[Estimate]:
    """Return what each column costs at most, by the code that decides for calls."""
    return [_estimate(question, principal) for question in questions]


def most_usd(parts: Sequence[Estimate]) -> Decimal | None:
    """Return what all cost together at most; `None` where one is not known."""
    costs = [part.most_usd for part in parts if not part.refusal]
    return None if None in costs else sum(filter(None, costs), Decimal(0))


def budgets_for(prompt_name: str, principal: Principal) -> list[Standing]:
    """Return where the budgets stand that calls of a person with the prompt count on."""
    found = of_person(principal).filter(
        api_key=None, prompt_name__in=("", prompt_name), tag__in=("", *TAGS)
    )
    return standings(found)


def _estimate(question: Question, principal: Principal) -> Estimate:
    try:
        request, call = async_to_sync(call_of)(question, principal)
    except AppError as error:
        return Estimate(question, refusal=error.message)
    explained = dry_run.explain(request, call)
    if explained.refusal:
        return Estimate(question, refusal=explained.refusal)
    asked = [row for row in explained.rows if row.when != When.NEVER]
    if any(row.most_usd is None for row in asked):
        return Estimate(question)
    return Estimate(question, async_to_sync(forecast.most_usd)(request, principal))
