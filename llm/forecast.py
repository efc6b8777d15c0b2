"""What a request will cost, and what it can cost at most, before anybody is asked.

The most takes in all that can be tried: each deployment of the route that gives no answer may
charge for the input each time it is asked.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from accounts.principal import Principal
from billing import prices
from billing.pricing import PriceSnapshot, TokenUsage, cost_usd, worst_case_usd
from llm import attempts, tokens
from llm.providers import Deployment
from llm.routing import routes
from llm.routing.routes import Route
from llm.types import ChatRequest

Count = Callable[[Deployment], tuple[int, int]]  # tokens of input, and of output at most


async def expected_usd(
    request: ChatRequest, principal: Principal, *, output_tokens: int, more_input_tokens: int = 0
) -> Decimal | None:
    """Return what whoever is asked first charges for so much output; `None`: it has no price."""
    route = await routes.find(request.model, principal)
    deployment = route.deployments[0]
    used = TokenUsage(
        input_tokens=tokens.count_request(request, deployment.model) + more_input_tokens,
        output_tokens=min(output_tokens, _most_output(request, deployment)),
    )
    return await _charged(deployment, used)


async def texts_expected_usd(
    texts: Sequence[str], model: str, principal: Principal, *, more_input_tokens: int = 0
) -> Decimal | None:
    """Return what an embedding model charges for the texts; `None`: it has no price."""
    deployment = (await routes.find(model, principal)).deployments[0]
    count = sum(tokens.count(text, deployment.model) for text in texts)
    return await _charged(deployment, TokenUsage(input_tokens=count + more_input_tokens))


async def most_usd(
    request: ChatRequest, principal: Principal, *, more_input_tokens: int = 0
) -> Decimal:
    """Return what an answer costs at most; models without a price cost nothing that is known."""

    def count(deployment: Deployment) -> tuple[int, int]:
        taken = tokens.count_request(request, deployment.model) + more_input_tokens
        return taken, _most_output(request, deployment)

    return await _most(await routes.find(request.model, principal), count)


async def texts_most_usd(
    texts: Sequence[str], model: str, principal: Principal, *, more_input_tokens: int = 0
) -> Decimal:
    """Return what vectors for the texts cost at most."""

    def count(deployment: Deployment) -> tuple[int, int]:
        taken = sum(tokens.count(text, deployment.model) for text in texts)
        return taken + more_input_tokens, 0

    return await _most(await routes.find(model, principal), count)


async def _charged(deployment: Deployment, used: TokenUsage) -> Decimal | None:
    price = await prices.price_for(deployment.provider, deployment.model)
    return None if price is None else cost_usd(price, used)


async def _most(route: Route, count: Count) -> Decimal:
    answers, in_vain = [Decimal(0)], Decimal(0)
    for deployment in route.deployments:
        price = await prices.price_for(deployment.provider, deployment.model)
        if price is not None:
            taken, given = count(deployment)
            answers.append(_worst(price, taken, given))
            in_vain += _worst(price, taken, 0) * (attempts.POLICY.retries + 1)
    # A hedged call may have two answers: only one is used, and both are paid.
    return in_vain + (sum(answers, Decimal(0)) if route.is_hedged else max(answers))


def _worst(price: PriceSnapshot, taken: int, given: int) -> Decimal:
    return worst_case_usd(price, input_tokens=taken, max_output_tokens=given)


def _most_output(request: ChatRequest, deployment: Deployment) -> int:
    most = deployment.max_output_tokens
    return most if request.max_tokens is None else min(request.max_tokens, most)
