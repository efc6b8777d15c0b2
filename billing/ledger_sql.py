"""What the ledger says to PostgreSQL: a whole batch in one round trip, and what comes back.

The statement is a function of ours, `billing_book_entries` in
`migrations/0018_ledger_room_and_arms.sql`. It reads, checks and writes. Written by hand because it
is on the way of every call.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from msgspec.structs import asdict

from billing.calendar import Definition
from billing.entries import Attempt, Entry, Hit, Hold, Renewal, Settle, Settlement
from billing.models import Outcome
from billing.periods import Period
from billing.pricing import PriceSnapshot

BOOK = """
SELECT billing_book_entries(
    %s::json, %s::json, %s::json, %s::json, %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::text[], %s::text[], %s::text[], %s::json, %s::timestamptz, %s::timestamptz, %s::boolean
)::text
"""
# Waits until no hold of the organization is half written, and lets none begin.
LOCK_ORGANIZATION = "SELECT pg_advisory_xact_lock(hashtextextended('billing', %s))"


class Held(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is said of a hold; what is as usual is left out, for both sides read and write less."""

    id: UUID
    request_id: str
    surface: str
    organization_id: int
    provider: str
    model_asked: str
    model_served: str
    hold_usd: Decimal
    input_tokens: int = 0
    price: PriceSnapshot | None = None
    attempt: int = 1
    user_id: int | None = None
    user_name: str = ""
    api_key_id: int | None = None
    api_key_prefix: str = ""
    prompt_name: str = ""
    prompt_version: int | None = None
    experiment: str = ""
    arm: str = ""
    unit: str = ""
    tags: tuple[str, ...] = ()
    service_tier: str = ""


class Settled(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is said of a settlement."""

    id: UUID
    outcome: Outcome
    model_served: str
    cost_usd: Decimal | None = None
    finish_reason: str = ""
    error_class: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cache_write_1h_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    service_tier: str = ""
    is_estimated: bool = False
    ttft_ms: int | None = None
    duration_ms: int | None = None
    is_swept: bool = False


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


class Room(msgspec.Struct, frozen=True, tag="room"):
    """What each hold of the batch leaves on the hard budget that has least; `None`: on none."""

    left_usd: tuple[Decimal | None, ...]


class Overrun(msgspec.Struct, frozen=True, tag="overrun"):
    """A call cost more than was held for it; it is booked in full."""

    usage_id: UUID
    cost_usd: Decimal


Answer = Missing | Refused | Room | Overrun

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Answer).decode


def parameters(
    entries: Sequence[Entry],
    calendar: Mapping[Definition, Period],
    now: datetime,
    lease_expires_at: datetime,
    *,
    is_repeated: bool,
) -> list[Any]:
    """Return what `BOOK` is executed with: all as text, which costs least to send.

    `is_repeated` says that some of it may be in the books already, which is then looked for.
    """
    attempts = [entry.attempt for entry in entries if isinstance(entry, Hold)]
    hits = [entry for entry in entries if isinstance(entry, Hit)]
    # Of one record the first settlement counts, and the last sign: PostgreSQL would take any.
    ended = [entry.settlement for entry in entries if isinstance(entry, Settle)]
    settlements = list({one.usage_id: one for one in reversed(ended)}.values())
    signs = [entry for entry in entries if isinstance(entry, Renewal)]
    renewals = list({one.usage_id: one for one in signs}.values())
    payers = {attempt.principal for attempt in attempts}
    return [
        _json([_hold(attempt) for attempt in attempts]),
        _json([_hit(hit) for hit in hits]),
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
        is_repeated,
    ]


def answers(rows: Sequence[Sequence[Any]]) -> list[Answer]:
    """Return what `BOOK` had to say."""
    return [_decode(row[0]) for row in rows]


def lock_organization(organization_id: int) -> None:
    """Wait until no hold of the organization is half written, and let none begin."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ORGANIZATION, [organization_id])


def _json(rows: Sequence[Mapping[str, Any] | msgspec.Struct]) -> str | None:
    return _encode(rows).decode() if rows else None


def _array(ids: Set[int | None] | Set[UUID]) -> str:
    """Return an array in order, as PostgreSQL writes it."""
    return "{" + ",".join(map(str, sorted(id for id in ids if id is not None))) + "}"


def _texts(texts: Set[str]) -> str:
    """Return an array of texts, as PostgreSQL writes it: between quotes, with escapes."""
    quoted = [text.replace("\\", r"\\").replace('"', r"\"") for text in texts]
    return "{" + ",".join([f'"{text}"' for text in quoted]) + "}"


# Both by position: to name so many fields takes eight times as long, on the way of every call.
def _hold(attempt: Attempt) -> Held:
    principal = attempt.principal
    return Held(
        attempt.id,
        attempt.request_id,
        attempt.surface,
        principal.organization_id,
        attempt.provider,
        attempt.model_asked,
        attempt.model_served,
        attempt.hold_usd,
        attempt.input_tokens,
        attempt.price,
        attempt.attempt,
        principal.user_id,
        principal.user_name,
        principal.api_key_id,
        principal.api_key_prefix,
        attempt.prompt_name,
        attempt.prompt_version,
        attempt.experiment,
        attempt.arm,
        attempt.unit,
        attempt.tags,
        attempt.service_tier,
    )


def _settlement(settlement: Settlement) -> Settled:
    usage = settlement.usage
    return Settled(
        settlement.usage_id,
        settlement.outcome,
        settlement.model_served,
        settlement.cost_usd,
        settlement.finish_reason,
        settlement.error_class,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
        usage.cache_write_1h_tokens,
        usage.image_input_tokens,
        usage.image_output_tokens,
        settlement.service_tier,
        settlement.is_estimated,
        settlement.ttft_ms,
        settlement.duration_ms,
        settlement.is_swept,
    )


def _hit(hit: Hit) -> dict[str, Any]:
    """Return all there is to say of an answer from the cache: its record is written at once."""
    begun, ended = asdict(_hold(hit.attempt)), asdict(_settlement(hit.settlement))
    return {**begun, **ended, "is_cache_hit": True, "saved_usd": hit.settlement.saved_usd}
