"""What it costs: dated prices, budgets with their periods, and one record per attempt."""

from billing.models.budgets import Budget, BudgetPeriod
from billing.models.prices import Price
from billing.models.usage import Outcome, UsageRecord, UsageState

__all__ = ["Budget", "BudgetPeriod", "Outcome", "Price", "UsageRecord", "UsageState"]
