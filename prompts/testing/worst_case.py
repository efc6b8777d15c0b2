"""The most that an ask can cost, its judges included."""

from decimal import Decimal

from accounts.principal import Principal
from llm import forecast
from llm.routing import routes
from prompts.testing import judging
from prompts.testing.asks import Question
from prompts.testing.checks import Judge, Similar

CORRECTION = 500  # tokens: what a judge is told when its judgement is no JSON, and around it


async def most_usd(question: Question, principal: Principal) -> Decimal:
    """Return what an ask costs at most; raise `ModelNotFound` where nobody can be asked."""
    request = question.request
    total = await forecast.most_usd(request, principal)
    longest = await _longest_answer(question, principal)
    for check in question.content.checks:
        if isinstance(check, Similar):
            total += await forecast.texts_most_usd(
                [check.text], check.model, principal, more_input_tokens=longest
            )
        elif isinstance(check, Judge):
            total += await _judged(check, question.text, longest, principal)
    return total


async def _judged(check: Judge, text: str, longest: int, principal: Principal) -> Decimal:
    """Return the most for a judgement and for its correction, which is told the first one."""
    asked = judging.request_to(check, question=text, answer="")
    again = longest + judging.MOST_OUTPUT + CORRECTION
    first = await forecast.most_usd(asked, principal, more_input_tokens=longest + CORRECTION)
    return first + await forecast.most_usd(asked, principal, more_input_tokens=again)


async def _longest_answer(question: Question, principal: Principal) -> int:
    """Return how many tokens an answer has at most."""
    request = question.request
    route = await routes.find(request.model, principal)
    most = max(deployment.max_output_tokens for deployment in route.deployments)
    return most if request.max_tokens is None else min(most, request.max_tokens)
