"""Histories of calls, prices and budgets: steps to draw, and a second opinion on what they come to.

The second opinion knows nothing of holds, periods' rows, openings and the ends of prices: what a
budget has spent and holds is, at any moment, the sum over all calls it is about that were started
in its period, each at the price that began last before its start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from accounts.principal import Principal
from billing.entries import Attempt
from billing.models import Budget
from billing.models.budgets import DIMENSIONS
from billing.periods import period_at
from billing.pricing import PriceSnapshot

NOTHING = Decimal(0)
INPUT_TOKENS = 1000  # of every call

USERS = ("ann", "bob")
PROMPTS = ("", "summary")
MODELS = ("fast", "slow")
TAGS = ("nightly", "team:a")
ZONES = ("UTC", "Pacific/Auckland", "America/New_York")

cents = st.integers(0, 60).map(lambda number: Decimal(number) / 100)


@dataclass(frozen=True, slots=True)
class NewBudget:
    """A budget with these dimensions is added."""

    user: str | None
    has_key: bool
    prompt_name: str
    model: str
    tag: str
    period: str
    time_zone: str
    limit_usd: Decimal
    is_hard: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A budget is changed: the one at this place, counted around."""

    which: int
    change: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A price of a model begins, now or later; calls that have begun keep theirs."""

    model: str
    price: PriceSnapshot
    hours: float


@dataclass(frozen=True, slots=True)
class NewCall:
    """Somebody is about to call."""

    user: str | None
    has_key: bool
    prompt_name: str
    model: str
    tags: tuple[str, ...]
    most_tokens: int


@dataclass(frozen=True, slots=True)
class End:
    """A call ends, perhaps not for the first time: the one at this place, counted around."""

    which: int
    output_tokens: int
    is_void: bool


@dataclass(frozen=True, slots=True)
class Sign:
    """A call is alive."""

    which: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer comes from the cache."""

    call: NewCall


@dataclass(frozen=True, slots=True)
class Batch:
    """What is asked of the ledger at the same time."""

    entries: list[NewCall | End | Sign | Hit]
    is_repeated: bool  # the answer to the first commit was lost


@dataclass(frozen=True, slots=True)
class Later:
    """Time passes; then the sweeper comes by, or does not."""

    hours: float
    is_swept: bool


few = st.integers(0, 30)
one_in_four = st.sampled_from([False, False, False, True])
users = st.sampled_from([None, *USERS])
budgets = st.builds(
    NewBudget,
    user=users,
    has_key=one_in_four,
    prompt_name=st.sampled_from(["", *PROMPTS]),
    model=st.sampled_from(["", "", *MODELS]),
    tag=st.sampled_from(["", "", *TAGS]),
    period=st.sampled_from(["day", "week", "month", "total"]),
    time_zone=st.sampled_from(ZONES),
    limit_usd=cents,
    is_hard=st.sampled_from([True, True, False]),
)
changes = st.builds(
    Change,
    few,
    st.one_of(
        st.fixed_dictionaries({"limit_usd": cents}),
        st.fixed_dictionaries({"is_active": st.booleans()}),
        st.fixed_dictionaries({"is_hard": st.booleans()}),
    ),
)
calls = st.builds(
    NewCall,
    user=users,
    has_key=one_in_four,
    prompt_name=st.sampled_from(PROMPTS),
    model=st.sampled_from(MODELS),
    tags=st.sampled_from([(), TAGS[:1], TAGS]),
    most_tokens=st.integers(0, 2000),
)
ends = st.builds(End, few, st.integers(0, 3000), one_in_four)
entries = st.one_of(
    calls, calls, ends, ends, st.builds(Sign, few, st.integers(0, 5000)), st.builds(Hit, calls)
)
rates = st.builds(
    PriceSnapshot,
    input_usd=st.sampled_from([Decimal(0), Decimal(1), Decimal(30)]),
    output_usd=st.sampled_from([Decimal(10), Decimal("33.333333"), Decimal(90)]),
    request_usd=st.sampled_from([None, None, Decimal("0.02")]),
)
prices = st.builds(
    NewPrice, st.sampled_from(MODELS), rates, st.sampled_from([0.0, 0.0, 0.005, 3.0, 24.0])
)
# Most models have a price from the start; calls of the others cost nothing that is known.
first_prices = st.tuples(
    *(
        st.builds(NewPrice, st.just(model), rates, st.sampled_from([0.0, 0.0, 0.0, 3.0]))
        for model in MODELS
    )
)
batches = st.builds(Batch, st.lists(entries, min_size=3, max_size=8), one_in_four)
steps = st.one_of(
    budgets,
    changes,
    prices,
    batches,
    batches,
    st.builds(Later, st.sampled_from([0.01, 3.0, 11.0, 26.0]), st.booleans()),
)
histories = st.tuples(
    first_prices,
    st.lists(budgets, min_size=1, max_size=3),
    st.lists(steps, min_size=6, max_size=10),
    st.tuples(budgets, batches),  # a budget that finds calls made before it
).map(lambda parts: [step for part in parts for step in part])


_call = NewCall(user=None, has_key=False, prompt_name="", model=MODELS[0], tags=(), most_tokens=100)
# What has to be among the histories: a budget that finds what was spent before it, a call that
# costs more than it held, and one whose process has died.
KNOWN: list[Any] = [
    NewPrice(MODELS[0], PriceSnapshot(input_usd=Decimal(1), output_usd=Decimal(10)), hours=0.0),
    Batch([_call], is_repeated=False),
    Batch([End(which=0, output_tokens=100, is_void=False)], is_repeated=False),
    NewBudget(
        user=None,
        has_key=False,
        prompt_name="",
        model="",
        tag="",
        period="total",
        time_zone=ZONES[0],
        limit_usd=Decimal("0.02"),
        is_hard=True,
    ),
    Batch([_call, _call], is_repeated=False),
    Batch([End(which=1, output_tokens=3000, is_void=False)], is_repeated=False),
    Later(hours=1.0, is_swept=True),
]


@dataclass(slots=True)
class Call:
    """A call that was admitted, as the second opinion sees it."""

    attempt: Attempt
    price: PriceSnapshot | None
    started_at: datetime
    lease_ends: datetime
    output_tokens: int = 0
    is_open: bool = True
    cost_usd: Decimal | None = None

    @property
    def holds_usd(self) -> Decimal:
        return self.attempt.hold_usd if self.is_open else NOTHING

    def end(self, output_tokens: int, *, is_void: bool = False) -> None:
        """Let it cost what it took, at the price that it began with; only once."""
        if self.is_open:
            self.is_open = False
            self.cost_usd = NOTHING if is_void else usd(self.price, output_tokens)


@dataclass(slots=True)
class SecondOpinion:
    """All budgets and calls of one organization, and the prices of its models."""

    budgets: list[Budget] = field(default_factory=list)
    calls: dict[UUID, Call] = field(default_factory=dict)
    prices: dict[tuple[str, datetime], PriceSnapshot] = field(default_factory=dict)

    def price_of(self, model: str, now: datetime) -> PriceSnapshot | None:
        """Return the price that began last."""
        begun = [begins for name, begins in self.prices if name == model and begins <= now]
        return self.prices[model, max(begun)] if begun else None

    def admit(self, attempt: Attempt, now: datetime, lease: timedelta) -> Budget | Decimal | None:
        """Take the call in and return the least it leaves, or return the budget without room."""
        left: list[Decimal] = []
        for budget in self.budgets:
            if not (budget.is_hard and budget.is_active and is_about(budget, attempt)):
                continue
            period = period_at(now, kind=budget.period, time_zone=budget.time_zone)
            spent, held = self.amounts(budget, period.starts_at, period.ends_at)
            room = max(budget.limit_usd - spent - held, NOTHING)
            if attempt.hold_usd > room:
                return budget
            left.append(room - attempt.hold_usd)
        price = self.price_of(attempt.model_asked, now)
        self.calls[attempt.id] = Call(attempt, price, now, now + lease)
        return min(left, default=None)

    def amounts(
        self, budget: Budget, starts_at: datetime, ends_at: datetime | None
    ) -> tuple[Decimal, Decimal]:
        """Return what is spent and held on the budget by calls that were started in between."""
        about = [
            call
            for call in self.calls.values()
            if starts_at <= call.started_at
            and (ends_at is None or call.started_at < ends_at)
            and is_about(budget, call.attempt)
        ]
        costs = total(call.cost_usd or NOTHING for call in about)
        return costs, total(call.holds_usd for call in about)


def usd(price: PriceSnapshot | None, output_tokens: int) -> Decimal | None:
    """Return what a call costs by hand: exact here, because no price has too many digits."""
    if price is None:
        return None
    tokens = INPUT_TOKENS * price.input_usd + output_tokens * price.output_usd
    return tokens / 1_000_000 + (price.request_usd or NOTHING)


def total(amounts: Any) -> Decimal:
    return sum(amounts, NOTHING)


def is_about(budget: Budget, attempt: Attempt) -> bool:
    """Return whether the budget counts the call: everything that it names is the call's."""
    payer: Principal = attempt.principal
    has: dict[str, Sequence[object]] = {
        "organization": (payer.organization_id,),
        "user": (payer.user_id,),
        "api_key": (payer.api_key_id,),
        "prompt_name": (attempt.prompt_name,),
        "model": (attempt.model_asked,),
        "tag": attempt.tags,
    }
    names = {
        "organization": budget.organization_id,
        "user": budget.user_id,
        "api_key": budget.api_key_id,
        "prompt_name": budget.prompt_name,
        "model": budget.model,
        "tag": budget.tag,
    }
    return all(names[what] in (None, "") or names[what] in has[what] for what in DIMENSIONS)
