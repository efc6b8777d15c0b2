"""Lists of OpenAI's API: so many after that one, newest first."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from django.db.models import Model, QuerySet
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from gateway import public_ids, validation
from gateway.public_ids import Prefix

Row = TypeVar("Row", bound=Model)
Asked = TypeVar("Asked")


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the address says of a list."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: str | None = None


class FilePage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the address says of a list of files."""

    limit: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


def asked(decoder: "msgspec.json.Decoder[Asked]", query: bytes) -> Asked:
    """Return what a query says; raise an error that names what is wrong.

    The decoder is not strict: what stands in an address is text.
    """
    said = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    return validation.decode(decoder, msgspec.json.encode(said))


def rows(found: "QuerySet[Row]", key: str, after: UUID | None, *, limit: int) -> Sequence[Row]:
    """Return the rows of a page, newest first, and one more where there are more."""
    if after is not None:
        found = found.filter(**{f"{key}__lt": after})
    return list(found.order_by(f"-{key}")[: limit + 1])


def after_of(prefix: Prefix, text: str | None) -> UUID | None:
    """Return the key that a page begins after; raise `InvalidRequest` for what is none."""
    if text is None:
        return None
    key = public_ids.read(prefix, text)
    if key is None:
        raise InvalidRequest("`after` is the id of the last one you have.", param="after")
    return key


def answer(shown: Sequence[dict[str, Any]], limit: int) -> bytes:
    """Return the body of a list, of which one more than `limit` was looked for."""
    page = shown[:limit]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(shown) > limit,
        }
    )
