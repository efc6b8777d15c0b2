"""`/v1/models` as Anthropic's clients ask for it and read it."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from gateway import offers, paging
from gateway.messages.consumers import AnthropicConsumer
from llm import service
from llm.types import ModelOffer


class ModelInfo(Struct, tag="model", tag_field="type", kw_only=True):
    """A name that can be asked for, as Anthropic lists its models."""

    id: str
    display_name: str
    created_at: str  # RFC 3339
    lifecycle: Literal["active"] = "active"  # what is not offered any more is not listed


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the address says of the list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 20
    after_id: str | None = None
    before_id: str | None = None
    beta: str | None = None  # the beta part of the client says so; it is the same list


class Page(Struct):
    data: Sequence[ModelInfo]
    has_more: bool
    first_id: str | None
    last_id: str | None


_asked = msgspec.json.Decoder(Asked, strict=False)
_encode = msgspec.json.Encoder().encode


class ModelList(AnthropicConsumer):
    """`GET /v1/models`."""

    method = "GET"
    scope_needed = "models"

    async def handle(self, body: bytes) -> None:
        asked = paging.asked(_asked, self.scope["query_string"])
        models = [_shown(offer) for offer in await service.models(self.principal)]
        await self.send_json(_encode(_page(models, asked)))


class ModelDetail(AnthropicConsumer):
    """`GET /v1/models/{id}`."""

    method = "GET"
    scope_needed = "models"

    async def handle(self, body: bytes) -> None:
        await self.send_json(_encode(_shown(await offers.asked(self))))


def _shown(offer: ModelOffer) -> ModelInfo:
    return ModelInfo(
        id=offer.id, display_name=offer.id, created_at=offer.created_at.isoformat("T", "seconds")
    )


def _page(models: Sequence[ModelInfo], asked: Asked) -> Page:
    """Return the models before or after one, of which there may be more in the same direction."""
    begin, end = 0, len(models)
    if asked.after_id is not None:
        begin = _place(models, "after_id", asked.after_id) + 1
    if asked.before_id is not None:
        end = _place(models, "before_id", asked.before_id)
    found = models[begin:end]
    is_backwards = asked.before_id is not None and asked.after_id is None
    page = found[-asked.limit :] if is_backwards else found[: asked.limit]
    return Page(
        data=page,
        has_more=len(found) > len(page),
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
    )


def _place(models: Sequence[ModelInfo], param: str, id: str) -> int:
    for place, model in enumerate(models):
        if model.id == id:
            return place
    raise InvalidRequest(f"`{param}` names no model of the list.", param=param)
