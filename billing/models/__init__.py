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
from billing.models.prices import Price
from billing.models.usage import Outcome, UsageRecord, UsageState

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "AlertKind",
    "AlertRule",
    "BookCheck",
    "Budget",
    "BudgetPeriod",
    "ChannelKind",
    "DeliveryState",
    "Outcome",
    "Overrun",
    "Price",
    "UsageRecord",
    "UsageState",
]
