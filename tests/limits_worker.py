"""A process of its own that asks for admission, for tests that need two of them.

python -m tests.limits_worker hammer|hang ORGANIZATION_ID COUNT
"""

import asyncio
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import Organization  # noqa: E402
from core import redis  # noqa: E402
from llm import limits  # noqa: E402
from tests.limits_support import call_by  # noqa: E402
from tests.llm_support import ask  # noqa: E402


async def admitted(organization_id: int) -> bool:
    try:
        await limits.admit(ask(), call_by(Organization(pk=organization_id)))
    except limits.LimitExceeded:
        return False
    return True


async def main(what: str, organization_id: int, count: int) -> None:
    results = await asyncio.gather(*(admitted(organization_id) for _ in range(count)))
    print(sum(results), flush=True)
    if what == "hang":
        await asyncio.sleep(60)
    await limits.close()
    await redis.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
