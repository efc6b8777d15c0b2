"""What a vendor's refusal means: from status, body and headers to an error class."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from llm.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContentFiltered,
    ContextTooLong,
    ModelMissing,
    Overloaded,
    ProviderError,
    ProviderPermissionDenied,
    RateLimited,
    RequestRefused,
    ServerError,
    TimedOut,
)

LONGEST_MESSAGE = 500

# What vendors write into `code` or `type`. It says more than the status, where it is known.
CODES: dict[str, type[ProviderError]] = {
    "context_length_exceeded": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
    "responsibleaipolicyviolation": ContentFiltered,
    "invalid_api_key": AuthenticationFailed,
    "authentication_error": AuthenticationFailed,
    "insufficient_quota": ProviderPermissionDenied,  # waiting does not help: the account is empty
    "billing_error": ProviderPermissionDenied,
    "permission_error": ProviderPermissionDenied,
    "model_not_found": ModelMissing,
    "deploymentnotfound": ModelMissing,
    "not_found_error": ModelMissing,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "overloaded_error": Overloaded,
    "server_overloaded": Overloaded,
    "timeout_error": TimedOut,
    "request_too_large": RequestRefused,
}
STATUSES: dict[int, type[ProviderError]] = {
    401: AuthenticationFailed,
    402: ProviderPermissionDenied,
    403: ProviderPermissionDenied,
    404: ModelMissing,
    408: TimedOut,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    529: Overloaded,
}
# What some vendors say only in words, under status 400.
WORDS: dict[str, type[ProviderError]] = {
    "context length": ContextTooLong,
    "context window": ContextTooLong,
    "context size": ContextTooLong,
    "prompt is too long": ContextTooLong,
    "api key not valid": AuthenticationFailed,
    "content management policy": ContentFiltered,
}
MEANINGS: dict[type[ProviderError], str] = {
    AuthenticationFailed: "refused its credentials",
    ProviderPermissionDenied: "does not allow this to its credentials",
    ModelMissing: "does not know the model",
    RateLimited: "is limiting the rate of calls",
    Overloaded: "is overloaded",
    TimedOut: "took too long",
    ServerError: "failed",
}


def refusal(provider: str, status: int, body: bytes, headers: Mapping[str, str]) -> ProviderError:
    """Return the error that an answer with `status` stands for."""
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        content = None
    return from_body(provider, content, status=status, retry_after=retry_after(headers))


def from_body(
    provider: str, content: Any, *, status: int = 0, retry_after: float | None = None
) -> ProviderError:
    """Return the error that a vendor's error object stands for, also one inside a 200 stream."""
    error = _error_object(content)
    status = status or _number(error.get("code")) or _number(error.get("status"))
    message = str(error.get("message") or "")
    kind = _class_of(error, status, message)
    if kind in MEANINGS:  # the vendor's own words may show a piece of the key, or its insides
        return kind(f"The provider {provider} {MEANINGS[kind]}.", retry_after=retry_after)
    param = error.get("param")
    return kind(
        f"The provider {provider} refused the request: {message[:LONGEST_MESSAGE] or status}",
        param=param if isinstance(param, str) else None,
    )


def in_answer(provider: str, error: Any) -> ProviderError:
    """Return the error that stands in an answer which began well; it may be charged."""
    result = from_body(provider, {"error": error})
    result.may_have_been_billed = True
    return result


def broken_off(provider: str) -> ConnectionFailed:
    """Return the error of a connection that was lost after the call was sent."""
    result = ConnectionFailed(f"The provider {provider} broke off the connection.")
    result.may_have_been_billed = True
    return result


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the vendor asks us to wait: in milliseconds, seconds or as a date."""
    if (milliseconds := _float(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _float(value)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _class_of(error: Mapping[str, Any], status: int, message: str) -> type[ProviderError]:
    names = [error.get("code"), error.get("type"), error.get("status")]
    inner = error.get("innererror")
    if isinstance(inner, dict):
        names.insert(0, inner.get("code"))
    for name in names:
        if isinstance(name, str) and (known := CODES.get(name.lower())):
            return known
    if status in (0, 400, 413, 422):
        lowered = message.lower()
        for words, meaning in WORDS.items():
            if words in lowered:
                return meaning
    if status in STATUSES:
        return STATUSES[status]
    is_ours = 400 <= status < 500 or (not status and error.get("type") == "invalid_request_error")
    return RequestRefused if is_ours else ServerError


def _error_object(content: Any) -> Mapping[str, Any]:
    """Return the object with code and message, wherever the vendor puts it."""
    if isinstance(content, list) and content:  # Gemini
        content = content[0]
    if not isinstance(content, dict):
        return {"message": content} if isinstance(content, str) else {}
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": error}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 400 <= value < 600 else 0


def _float(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    # `nan` and `inf` are numbers to Python, and negative ones are to some clocks.
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None
