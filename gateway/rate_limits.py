"""What is left of the limits, in OpenAI's headers."""

import math

from gateway.errors import Headers
from llm.types import RateLimit


def headers(rate_limit: RateLimit | None) -> Headers:
    """Return `x-ratelimit-*` for the limits that apply; nothing where none does."""
    if rate_limit is None:
        return []
    return [
        *_headers(
            b"requests",
            rate_limit.limit_requests,
            rate_limit.remaining_requests,
            rate_limit.reset_requests,
        ),
        *_headers(
            b"tokens",
            rate_limit.limit_tokens,
            rate_limit.remaining_tokens,
            rate_limit.reset_tokens,
        ),
    ]


def _headers(
    figure: bytes, limit: int | None, remaining: int | None, reset: float | None
) -> Headers:
    if limit is None:
        return []
    return [
        (b"x-ratelimit-limit-" + figure, b"%d" % limit),
        (b"x-ratelimit-remaining-" + figure, b"%d" % (remaining or 0)),
        (b"x-ratelimit-reset-" + figure, duration(reset or 0.0)),
    ]


def duration(seconds: float) -> bytes:
    """Return a time as OpenAI writes it: `120ms`, `8.64s`, `6m0s`, `1h0m0s`."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return b"%dms" % milliseconds if milliseconds else b"0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}".encode() if hours else text.encode()
