"""What the answers of the playground took."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from accounts.principal import Principal
from billing.models import UsageRecord, UsageState
from llm.types import Finished
from prompts.playground.events import Total, cost_in_words
from prompts.playground.questions import SURFACE


@dataclass(frozen=True, slots=True)
class Took:
    """Tokens and money; without tokens, no model was asked."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None  # None: a model without a price
    is_estimated: bool = False  # the tokens are our own count

    @classmethod
    def of(cls, finished: Finished) -> Self:
        """Return what an answer took that has come to its end."""
        usage = finished.usage
        counts = usage.total_input, usage.total_output
        return cls(*counts, finished.cost_usd, finished.is_estimated)

    @property
    def cost(self) -> str:
        """Return the cost for people."""
        return cost_in_words(self.cost_usd)


NOTHING = Took(cost_usd=Decimal(0))


def took(request_id: str, principal: Principal) -> Took:
    """Return what the books say of an answer that was stopped or has failed."""
    # The surface as well: programs choose the ids of their own requests.
    records = UsageRecord.objects.visible_to(principal).filter(
        request_id=request_id, surface=SURFACE, state=UsageState.SETTLED
    )
    attempts = list(records)
    if not attempts:
        return NOTHING
    return Took(
        input_tokens=sum(record.usage.total_input for record in attempts),
        output_tokens=sum(record.usage.total_output for record in attempts),
        cost_usd=_sum(record.cost_usd for record in attempts),
        is_estimated=any(record.is_estimated for record in attempts),
    )


def total(parts: Iterable[Took]) -> Total:
    """Return what several took together."""
    known = list(parts)
    return Total(
        input_tokens=sum(part.input_tokens or 0 for part in known),
        output_tokens=sum(part.output_tokens or 0 for part in known),
        cost=cost_in_words(_sum(part.cost_usd for part in known)),
    )


def _sum(costs: Iterable[Decimal | None]) -> Decimal | None:
    known = list(costs)
    return None if None in known else sum(filter(None, known), Decimal(0))
