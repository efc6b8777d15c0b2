"""What it costs: dated prices, budgets with their periods and alerts, one record per attempt."""

from billing.models.alerts import (
    Alert,
    AlertChannel,
    AlertDelivery,
    AlertKind,
    AlertRule,
    ChannelKind,
    DeliveryState,
)
from billing.models.books import BookCheck
from billing.models.budgets import Budget, BudgetPeriod, Overrun
from billing.models.corrections import Adjustment, Correction, CorrectionKind, CorrectionState
from billing.models.currency import DisplayCurrency, ExchangeRate
from billing.models.prices import Price, PriceProposal, PriceTier, ProposalState
from billing.models.retention import DroppedMonth, DroppedSpending, DroppedUsage
from billing.models.rollups import (
    Dashboard,
    RollupProgress,
    UsageDay,
    UsageHour,
    UsageModelDay,
    UsageRollup,
)
from billing.models.usage import Outcome, UsageRecord, UsageState

__all__ = [
    "Adjustment",
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "AlertKind",
    "AlertRule",
    "BookCheck",
    "Budget",
    "BudgetPeriod",
    "ChannelKind",
    "Correction",
    "CorrectionKind",
    "CorrectionState",
    "Dashboard",
    "DeliveryState",
    "DisplayCurrency",
    "DroppedMonth",
    "DroppedSpending",
    "DroppedUsage",
    "ExchangeRate",
    "Outcome",
    "Overrun",
    "Price",
    "PriceProposal",
    "PriceTier",
    "ProposalState",
    "RollupProgress",
    "UsageDay",
    "UsageHour",
    "UsageModelDay",
    "UsageRecord",
    "UsageRollup",
    "UsageState",
]
