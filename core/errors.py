"""Expected failures: each has a stable code, an HTTP status and a message that is safe to show."""

import math
from collections.abc import Mapping
from typing import TypeVar

Error = TypeVar("Error", bound=Exception)


class AppError(Exception):
    """A failure the caller can understand; one handler per edge turns it into JSON or a frame."""

    code = "error"
    http_status = 500

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param  # the field of the request that is wrong
        self.retry_after = retry_after  # seconds
        self.details = dict(details or {})

    @property
    def retry_after_header(self) -> str | None:
        """What `Retry-After` says: whole seconds, and never "at once"."""
        return None if self.retry_after is None else str(max(1, math.ceil(self.retry_after)))


class InvalidRequest(AppError):
    """What was sent cannot be read or is not allowed."""

    code = "invalid_request"
    http_status = 400


class PermissionDenied(AppError):
    """The caller is known but may not do this."""

    code = "permission_denied"
    http_status = 403


class NotFound(AppError):
    """It does not exist, or the caller may not know that it does."""

    code = "not_found"
    http_status = 404


class DependencyDown(AppError):
    """PostgreSQL or Redis does not answer; the caller may try again soon."""

    code = "service_unavailable"
    http_status = 503

    def __init__(self, message: str, *, retry_after: float = 2.0) -> None:
        super().__init__(message, retry_after=retry_after)


def own(error: Error) -> Error:
    """Return the error for one of several who get it, with a traceback and a context of its own."""
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error
    return twin
