"""What the ledger says to PostgreSQL: a whole batch in one round trip, and what comes back.

The statement is a function of ours, `billing_book` in `migrations/0013_ledger.sql`, which
reads, checks and writes. Written by hand because it is on the way of every call.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from billing.calendar import Definition
from billing.entries import Attempt, Entry, Hit, Hold, Renewal, Settle, Settlement
from billing.periods import Period

BOOK = """
SELECT billing_book(
    %s::json, %s::json, %s::json, %s::json, %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::text[], %s::text[], %s::text[], %s::json, %s::timestamptz, %s::timestamptz
)::text
"""
# Waits until no hold of the organization is half written, and lets none begin.
LOCK_ORGANIZATION = "SELECT pg_advisory_xact_lock(hashtextextended('billing', %s))"


class Missing(msgspec.Struct, frozen=True, tag="missing"):
    """Nothing was booked: the period of a budget has to be opened, or the calendar told."""

    budget_id: int
    kind: str
    time_zone: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A hard budget has no room for a hold; holds are numbered from 1."""

    number: int
    budget: str
    limit_usd: Decimal
    spent_usd: Decimal
    room_usd: Decimal
    hold_usd: Decimal
    ends_at: datetime | None


class Overrun(msgspec.Struct, frozen=True, tag="overrun"):
    """A call cost more than was held for it; it is booked in full."""

    usage_id: UUID
    cost_usd: Decimal


Answer = Missing | Refused | Overrun

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Answer).decode


def parameters(
    entries: Sequence[Entry],
    calendar: Mapping[Definition, Period],
    now: datetime,
    lease_expires_at: datetime,
) -> list[Any]:
    """Return what `BOOK` is executed with: all as text, which costs least to send."""
    attempts = [entry.attempt for entry in entries if isinstance(entry, Hold)]
    hits = [entry for entry in entries if isinstance(entry, Hit)]
    # Of one record the first settlement counts, and the last sign: PostgreSQL would take any.
    ended = [entry.settlement for entry in entries if isinstance(entry, Settle)]
    settlements = list({one.usage_id: one for one in reversed(ended)}.values())
    signs = [entry for entry in entries if isinstance(entry, Renewal)]
    renewals = list({one.usage_id: one for one in signs}.values())
    payers = {attempt.principal for attempt in attempts}
    return [
        _json([_attempt(attempt) for attempt in attempts]),
        _json([_attempt(hit.attempt) | _settlement(hit.settlement) for hit in hits]),
        _json([_settlement(settlement) for settlement in settlements]),
        _json([{"id": one.usage_id, "output_tokens": one.output_tokens} for one in renewals]),
        _array({one.usage_id for one in settlements} | {one.usage_id for one in renewals}),
        _array({payer.organization_id for payer in payers}),
        _array({payer.user_id for payer in payers}),
        _array({payer.api_key_id for payer in payers}),
        _texts({attempt.prompt_name for attempt in attempts}),
        _texts({attempt.model_asked for attempt in attempts}),
        _texts({tag for attempt in attempts for tag in attempt.tags}),
        _json(
            [
                {"kind": kind, "time_zone": time_zone, "starts_at": period.starts_at}
                for (kind, time_zone), period in calendar.items()
            ]
        ),
        now.isoformat(),
        lease_expires_at.isoformat(),
    ]


def answers(rows: Sequence[Sequence[Any]]) -> list[Answer]:
    """Return what `BOOK` had to say."""
    return [_decode(row[0]) for row in rows]


def lock_organization(organization_id: int) -> None:
    """Wait until no hold of the organization is half written, and let none begin."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ORGANIZATION, [organization_id])


def _json(rows: Sequence[Mapping[str, Any]]) -> str | None:
    return _encode(rows).decode() if rows else None


def _array(ids: Set[int | None] | Set[UUID]) -> str:
    """Return an array in order, as PostgreSQL writes it."""
    return "{" + ",".join(map(str, sorted(id for id in ids if id is not None))) + "}"


def _texts(texts: Set[str]) -> str:
    """Return an array of texts, as PostgreSQL writes it: between quotes, with escapes."""
    quoted = [text.replace("\\", r"\\").replace('"', r"\"") for text in texts]
    return "{" + ",".join([f'"{text}"' for text in quoted]) + "}"


def _attempt(attempt: Attempt) -> dict[str, Any]:
    principal = attempt.principal
    return {
        "id": attempt.id,
        "request_id": attempt.request_id,
        "attempt": attempt.attempt,
        "surface": attempt.surface,
        "organization_id": principal.organization_id,
        "user_id": principal.user_id,
        "user_name": principal.user_name,
        "api_key_id": principal.api_key_id,
        "api_key_prefix": principal.api_key_prefix,
        "prompt_name": attempt.prompt_name,
        "prompt_version": attempt.prompt_version,
        "tags": attempt.tags,
        "provider": attempt.provider,
        "model_asked": attempt.model_asked,
        "model_served": attempt.model_served,
        "service_tier": attempt.service_tier,
        "is_cache_hit": attempt.is_cache_hit,
        "input_tokens": attempt.input_tokens,
        "price": attempt.price,
        "hold_usd": attempt.hold_usd,
    }


def _settlement(settlement: Settlement) -> dict[str, Any]:
    usage = settlement.usage
    return {
        "id": settlement.usage_id,
        "outcome": settlement.outcome,
        "finish_reason": settlement.finish_reason,
        "error_class": settlement.error_class,
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_input_tokens": usage.audio_input_tokens,
        "audio_output_tokens": usage.audio_output_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "image_input_tokens": usage.image_input_tokens,
        "image_output_tokens": usage.image_output_tokens,
        "service_tier": settlement.service_tier,
        "saved_usd": settlement.saved_usd,
        "is_estimated": settlement.is_estimated,
        "cost_usd": settlement.cost_usd,
        "ttft_ms": settlement.ttft_ms,
        "duration_ms": settlement.duration_ms,
        "model_served": settlement.model_served,
        "is_swept": settlement.is_swept,
    }
