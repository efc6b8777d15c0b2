"""What is left of the limits, in the headers of either vendor."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

from gateway.errors import Headers
from llm.types import RateLimit


class Left(NamedTuple):
    """What is left of a figure, and in how many seconds there is more."""

    figure: bytes
    limit: int
    remaining: int
    reset: float


def openai(rate_limit: RateLimit | None) -> Headers:
    """Return `x-ratelimit-*` for the limits that apply; nothing where none does."""
    return [
        header
        for left in _left(rate_limit)
        for header in (
            (b"x-ratelimit-limit-" + left.figure, b"%d" % left.limit),
            (b"x-ratelimit-remaining-" + left.figure, b"%d" % left.remaining),
            (b"x-ratelimit-reset-" + left.figure, duration(left.reset)),
        )
    ]


def anthropic(rate_limit: RateLimit | None) -> Headers:
    """Return `anthropic-ratelimit-*` for the same limits."""
    return [
        header
        for left in _left(rate_limit)
        for header in (
            (b"anthropic-ratelimit-" + left.figure + b"-limit", b"%d" % left.limit),
            (b"anthropic-ratelimit-" + left.figure + b"-remaining", b"%d" % left.remaining),
            (b"anthropic-ratelimit-" + left.figure + b"-reset", _moment(left.reset)),
        )
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


def _left(found: RateLimit | None) -> Iterator[Left]:
    if found is None:
        return
    figures = (
        (b"requests", found.limit_requests, found.remaining_requests, found.reset_requests),
        (b"tokens", found.limit_tokens, found.remaining_tokens, found.reset_tokens),
    )
    for figure, limit, remaining, reset in figures:
        if limit is not None:
            yield Left(figure, limit, remaining or 0, reset or 0.0)


def _moment(seconds: float) -> bytes:
    """Return when that is, as Anthropic writes it (`2026-01-31T12:00:00Z`), rather too late."""
    at = timezone.now().astimezone(UTC) + timedelta(seconds=math.ceil(seconds))
    return datetime.strftime(at, "%Y-%m-%dT%H:%M:%SZ").encode()
