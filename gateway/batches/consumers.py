"""`/v1/batches`: make, list, look at and cancel."""

import msgspec
from asgiref.sync import sync_to_async

from gateway import paging
from gateway.batches import programs, wire
from gateway.calls import call_of
from gateway.http import ApiConsumer
from gateway.paging import Page

_page = msgspec.json.Decoder(Page, strict=False)
_encode = msgspec.json.Encoder().encode


class BatchCreate(ApiConsumer):
    """`POST /v1/batches`."""

    method = "POST"
    scope_needed = "batches"
    is_made_once = True

    async def handle(self, body: bytes) -> None:
        asked = wire.parse(body)
        create = sync_to_async(programs.create, thread_sensitive=False)
        batch = await create(asked, self.principal, call_of(self).tags)
        await self.send_json(_encode(wire.shown(batch)))


class BatchList(ApiConsumer):
    """`GET /v1/batches`."""

    method = "GET"
    scope_needed = "batches"

    async def handle(self, body: bytes) -> None:
        asked = paging.asked(_page, self.scope["query_string"])
        after = paging.after_of("batch_", asked.after)
        find = sync_to_async(programs.page, thread_sensitive=False)
        batches = await find(asked, after, self.principal)
        await self.send_json(paging.answer(list(map(wire.shown, batches)), asked.limit))


class BatchDetail(ApiConsumer):
    """`GET /v1/batches/{id}`."""

    method = "GET"
    scope_needed = "batches"

    async def handle(self, body: bytes) -> None:
        text = self.scope["url_route"]["kwargs"]["batch_id"]
        find = sync_to_async(programs.find, thread_sensitive=False)
        await self.send_json(_encode(wire.shown(await find(text, self.principal))))


class BatchCancel(ApiConsumer):
    """`POST /v1/batches/{id}/cancel`."""

    method = "POST"
    scope_needed = "batches"

    async def handle(self, body: bytes) -> None:
        text = self.scope["url_route"]["kwargs"]["batch_id"]
        cancel = sync_to_async(programs.cancel, thread_sensitive=False)
        await self.send_json(_encode(wire.shown(await cancel(text, self.principal))))
