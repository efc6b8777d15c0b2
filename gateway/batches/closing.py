"""What a process that has made calls owes at its end."""

from billing import ledger
from core import redis
from llm import service


async def shut_down() -> None:
    """Settle what was begun and hang up."""
    await service.close()
    await ledger.drain()
    await redis.close()
    ledger.close()
