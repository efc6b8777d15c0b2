"""What a process does when it begins and before it ends: nothing that was promised may be lost."""

import gc

import chat.generation
import gateway.idempotency
import llm.service
from accounts import last_used
from billing import ledger
from core import redis
from core.request_id import ASGIApp, Receive, Scope, Send


class Lifespan:
    """ASGI lifespan around the application; Daphne has none, and there the sweeper cleans up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                _start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await _shut_down()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _start() -> None:
    """Let garbage collection hold nobody up.

    What was imported is exempt: a full run over it held all streams for 0.1 s. The rest is looked
    through less often: a call leaves hardly any cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _shut_down() -> None:
    await chat.generation.shut_down()
    await gateway.idempotency.close()
    await llm.service.close()
    await ledger.drain()
    await last_used.flush()
    await redis.close()
    ledger.close()
