"""Why a call is not paid for."""

from core.errors import AppError


class BudgetExceeded(AppError):
    """A hard budget has no room for what the call may cost."""

    code = "budget_exceeded"
    http_status = 402


class UnpricedModel(AppError):
    """The model has no price, and this installation refuses such calls."""

    code = "model_unpriced"
    http_status = 403
