"""Why a request with a key is not answered."""

from http import HTTPStatus

from core.errors import AppError, DependencyDown


class KeyReused(AppError):
    """The key belongs to another request."""

    code = "idempotency_key_reused"
    http_status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self) -> None:
        super().__init__(
            "The key was used with another body. Use a new key for a new request.",
            param="Idempotency-Key",
        )


class Interrupted(AppError):
    """The process that answered is gone. Nobody is charged twice for want of a question."""

    code = "idempotency_interrupted"
    http_status = HTTPStatus.CONFLICT

    def __init__(self) -> None:
        super().__init__(
            "The answer was interrupted, and what it took is charged. Use a new key to ask anew.",
            param="Idempotency-Key",
        )


class NotKept(AppError):
    """The answer was too large to be kept."""

    code = "idempotency_not_kept"
    http_status = HTTPStatus.CONFLICT

    def __init__(self) -> None:
        super().__init__(
            "The answer was given and is charged, but it was too large to be kept. "
            "Use a new key to ask anew.",
            param="Idempotency-Key",
        )


class NothingToResume(AppError):
    """Nothing is kept under the key: to answer now would be a new call, which nobody asked for."""

    code = "idempotency_key_unknown"
    http_status = HTTPStatus.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("There is no answer under this key.", param="Idempotency-Key")


def away() -> DependencyDown:
    """Return that a request with a key is not made while nobody can know whether it was before."""
    return DependencyDown("Keys of idempotency cannot be looked up now; ask again.")
