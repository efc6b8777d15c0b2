"""Why a case cannot be kept, or a run cannot be started."""

from core.errors import AppError


class CaseExists(AppError):
    """The dataset already has a case of this name."""

    code = "case_exists"
    http_status = 409


class RunRefused(AppError):
    """The run cannot be started, or not be cancelled, as things stand."""

    code = "run_refused"
    http_status = 409
