"""A process of its own that asks a question, for tests that need two of them.

python -m tests.llm_cache_worker ORGANIZATION_ID TEXT

It prints what comes as it comes: "started <how>", "text <piece>", then "finished" or an error.
"""

import asyncio
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.principal import Principal  # noqa: E402
from billing import ledger  # noqa: E402
from core.errors import AppError  # noqa: E402
from llm import service  # noqa: E402
from llm.types import Call, Delta, Started  # noqa: E402
from tests.llm_support import ask  # noqa: E402


def say(*words: object) -> None:
    print(*words, flush=True)


async def main(organization_id: int, text: str) -> None:
    call = Call(
        principal=Principal(organization_id=organization_id), surface="api", request_id="worker"
    )
    try:
        async for event in service.stream(ask(text, temperature=0.0), call):
            if isinstance(event, Started):
                say("started", "shared" if event.is_shared else "own")
            elif isinstance(event, Delta):
                say("text", event.text)
        say("finished")
    except AppError as error:
        say("failed", type(error).__name__)
    await service.close()
    ledger.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
