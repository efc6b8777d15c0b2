"""A process of its own that asks for leave to call a deployment, for tests that need two of them.

python -m tests.health_worker DEPLOYMENT_ID COUNT

It says "ready"; told to go, it asks so often at once and says how many may call. It then holds what
it has until its input ends.
"""

import asyncio
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from core import redis  # noqa: E402
from llm.health import Ticket, breaker  # noqa: E402
from llm.health.monitor import Monitor  # noqa: E402

breaker.LEASE = 600.0  # however slow the machine is


async def main(deployment_id: int, count: int) -> None:
    monitor = Monitor()
    await monitor.enter(0, is_streamed=True)  # it has read what all know
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    entries = await asyncio.gather(
        *(monitor.enter(deployment_id, is_streamed=True) for _ in range(count))
    )
    print(sum(isinstance(entry, Ticket) for entry in entries), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await monitor.close()
    await redis.close()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
