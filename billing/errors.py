"""Why a call is not paid for."""

from core.errors import AppError, DependencyDown


class BudgetExceeded(AppError):
    """A hard budget has no room for what the call may cost."""

    code = "budget_exceeded"
    http_status = 402


class CommitUnknown(DependencyDown):
    """PostgreSQL went away while it committed: what was asked may be in the books or not."""
