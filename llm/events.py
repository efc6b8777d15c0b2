"""The story of a call in structured log lines: never a prompt, an answer or a secret.

llm.attempt, llm.first_token, llm.retry, llm.fallback, llm.hedge and, once for each call that was
admitted, llm.complete. What went wrong is a warning.
"""

from typing import Any

import structlog

from billing.ledger import Settlement
from billing.models import Outcome
from core.durations import milliseconds_since
from core.errors import AppError
from llm.errors import STOPPED, ContentFiltered
from llm.providers import Deployment
from llm.types import Call

logger = structlog.get_logger(__name__)

FINE = (Outcome.SUCCESS, Outcome.PARTIAL, Outcome.STOPPED)
NOTHING_BOOKED = {"finish_reason": "", "input_tokens": 0, "output_tokens": 0, "cost_usd": "0"}


def attempt(call: Call, alias: str, deployment: Deployment, number: int) -> None:
    """Say that a deployment is asked."""
    logger.info(
        "llm.attempt",
        request_id=call.request_id,
        alias=alias,
        provider=deployment.provider,
        model=deployment.model,
        attempt=number,
    )


def first_token(call: Call, deployment: Deployment, number: int, ttft_ms: int) -> None:
    """Say how long the first content took."""
    logger.info(
        "llm.first_token",
        request_id=call.request_id,
        provider=deployment.provider,
        model=deployment.model,
        attempt=number,
        ttft_ms=ttft_ms,
    )


def retry(call: Call, deployment: Deployment, number: int, error: AppError, wait: float) -> None:
    """Say that the same deployment is asked again, after `wait` seconds."""
    logger.warning(
        "llm.retry",
        request_id=call.request_id,
        provider=deployment.provider,
        model=deployment.model,
        attempt=number,
        error=type(error).__name__,
        wait_ms=round(wait * 1000),
    )


def fallback(call: Call, before: Deployment, after: Deployment, why: str) -> None:
    """Say that another deployment is asked instead; `why` is an error's class."""
    names = {"from": name_of(before), "to": name_of(after)}
    logger.warning("llm.fallback", request_id=call.request_id, error=why, **names)


def hedge(call: Call, before: Deployment, after: Deployment, wait: float) -> None:
    """Say that a second deployment is asked beside a slow one."""
    names = {"from": name_of(before), "to": name_of(after)}
    logger.info("llm.hedge", request_id=call.request_id, wait_ms=round(wait * 1000), **names)


def hedge_skipped(call: Call, deployment: Deployment, why: str) -> None:
    """Say why a second deployment is not asked."""
    logger.info("llm.hedge_skipped", request_id=call.request_id, to=name_of(deployment), error=why)


def complete(
    call: Call,
    alias: str,
    settlement: Settlement | None,
    *,
    started_at: float,
    attempts: int,
    error: BaseException | None,
) -> None:
    """Say how a call ended and what its last attempt took; `started_at` is of `time.monotonic`."""
    outcome = _outcome(settlement, error)
    told = logger.info if outcome in FINE else logger.warning
    told(
        "llm.complete",
        request_id=call.request_id,
        alias=alias,
        outcome=outcome.value,
        error=type(error).__name__ if error is not None and outcome not in FINE else "",
        attempts=attempts,
        is_cache_hit=False,
        total_ms=milliseconds_since(started_at),
        **_figures(settlement),
    )


def complete_from_cache(call: Call, alias: str, settlement: Settlement) -> None:
    """Say that a call was answered without asking a model."""
    logger.info(
        "llm.complete",
        request_id=call.request_id,
        alias=alias,
        outcome=settlement.outcome.value,
        error="",
        attempts=0,
        is_cache_hit=True,
        total_ms=settlement.duration_ms,
        **_figures(settlement),
    )


def name_of(deployment: Deployment) -> str:
    """Return the deployment's full name."""
    return f"{deployment.provider}/{deployment.model}"


def _outcome(settlement: Settlement | None, error: BaseException | None) -> Outcome:
    if error is None and settlement is not None:
        return settlement.outcome
    if isinstance(error, STOPPED):
        return Outcome.STOPPED
    return Outcome.FILTERED if isinstance(error, ContentFiltered) else Outcome.FAILED


def _figures(settlement: Settlement | None) -> dict[str, Any]:
    if settlement is None:
        return NOTHING_BOOKED
    cost = settlement.cost_usd
    return {
        "finish_reason": settlement.finish_reason,
        "input_tokens": settlement.usage.total_input,
        "output_tokens": settlement.usage.total_output,
        "cost_usd": None if cost is None else f"{cost:f}",
    }
