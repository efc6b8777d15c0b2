"""What a vendor's refusal means: from status, body and headers to an error class."""

import math
import time
from collections.abc import Mapping
from datetime import UTC
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
# What reading JSON raises that is none, is not UTF-8 or is nested without end.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
LONGEST_WAIT = 86_400.0  # seconds; a vendor that asks for more has said "not today"

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
# Whoever asks with another account's key may be answered. A 403 without one of these speaks of what
# was asked for: a model that the key may not use says nothing about the others.
ACCOUNT_REFUSED = frozenset(
    [
        *("insufficient_quota", "billing_error", "billing_not_active"),
        *("billing_hard_limit_reached", "account_deactivated", "organization_deactivated"),
    ]
)
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
    "input is too long": ContextTooLong,
    "exceed context limit": ContextTooLong,
    "exceeds the maximum number of tokens": ContextTooLong,
    "content management policy": ContentFiltered,
}
# These speak of the key, so they count at the beginning alone: further on, a vendor may be quoting
# the caller, who could have everybody's key set aside.
BEGINNINGS: dict[str, type[ProviderError]] = {
    "your credit balance is too low": ProviderPermissionDenied,
    "api key not valid": AuthenticationFailed,
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
    except UNREADABLE:
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
        wait = _retry_delay(error) if retry_after is None else retry_after
        result = kind(f"The provider {provider} {MEANINGS[kind]}.", retry_after=wait)
        result.refuses_key |= _is_about_the_account(error, status, message)
        return result
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
    if (milliseconds := _number_of(headers.get("retry-after-ms"))) is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number_of(value)
    return _seconds_until(value) if seconds is None else min(seconds, LONGEST_WAIT)


def _class_of(error: Mapping[str, Any], status: int, message: str) -> type[ProviderError]:
    for name in _names(error):
        if known := CODES.get(name):
            return known
    if status in (0, 400, 413, 422) and (known := _told_in_words(message.lower())):
        return known
    if status in STATUSES:
        return STATUSES[status]
    is_ours = 400 <= status < 500 or (not status and error.get("type") == "invalid_request_error")
    return RequestRefused if is_ours else ServerError


def _told_in_words(lowered: str) -> type[ProviderError] | None:
    for words, meaning in BEGINNINGS.items():
        if lowered.startswith(words):
            return meaning
    return next((meaning for words, meaning in WORDS.items() if words in lowered), None)


def _is_about_the_account(error: Mapping[str, Any], status: int, message: str) -> bool:
    """Return whether the vendor wants nothing of this account, not only not this one thing."""
    is_named = any(name in ACCOUNT_REFUSED for name in _names(error))
    return status == 402 or is_named or message.lower().startswith("your credit balance is too low")


def _names(error: Mapping[str, Any]) -> list[str]:
    """Return the names that the vendor has for the error, the most telling first."""
    names = [error.get("code"), error.get("type"), error.get("status")]
    inner = error.get("innererror")
    if isinstance(inner, dict):
        names.insert(0, inner.get("code"))
    return [name.lower() for name in names if isinstance(name, str)]


def _error_object(content: Any) -> Mapping[str, Any]:
    """Return the object with code and message, wherever the vendor puts it."""
    if isinstance(content, list) and content:  # Gemini
        content = content[0]
    if not isinstance(content, dict):
        return {"message": content} if isinstance(content, str) else {}
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": error}


def _retry_delay(error: Mapping[str, Any]) -> float | None:
    """Return the wait that Gemini asks for in the body: `"retryDelay": "34s"` in a detail."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            seconds = _number_of(delay.removesuffix("s"))
            return None if seconds is None else min(seconds, LONGEST_WAIT)
    return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 400 <= value < 600 else 0


def _number_of(value: str | None) -> float | None:
    """Return the wait that a number asks for; `nan`, `inf` and less than nothing are none."""
    try:
        wait = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return wait if 0 <= wait < math.inf else None


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": the time is UTC, the place is not told
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - time.time()), LONGEST_WAIT)
