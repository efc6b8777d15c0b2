"""Throwing kept answers away: all, an organization's, a model's or a prompt's.

Nothing is searched for and deleted in Redis: the newest purge that fits a call is part of its key,
so what was kept before is not found any more, and expires.
"""

from itertools import product
from typing import NamedTuple

import structlog
from django.db import transaction
from django.db.models import Max

from accounts.models import Organization, User
from core.cached import Cached
from llm.models import CachePurge, SemanticAnswer
from llm.types import Call

logger = structlog.get_logger(__name__)


class Scope(NamedTuple):
    """What a purge is for; `None` and "" stand for everything."""

    organization_id: int | None
    alias: str
    prompt_name: str


@transaction.atomic
def purge(
    *,
    organization: Organization | None = None,
    alias: str = "",
    prompt_name: str = "",
    purged_by: User | None = None,
) -> CachePurge:
    """Let no answer count that was kept until now; every process knows within a second."""
    made = CachePurge.objects.create(
        organization=organization, alias=alias, prompt_name=prompt_name, purged_by=purged_by
    )
    fields = {"organization": organization, "alias": alias, "prompt_name": prompt_name}
    given = {name: value for name, value in fields.items() if value}
    SemanticAnswer.objects.filter(**given).delete()
    transaction.on_commit(forget)
    logger.info("llm.cache_purged", purge=str(made))
    return made


async def newest(call: Call, alias: str) -> int:
    """Return the number of the newest purge that fits the call; 0 where there was none."""
    purges = await _purges.get(None)
    if not purges:
        return 0
    scopes = product(
        (None, call.principal.organization_id),
        ("", alias),
        ("", call.prompt.name) if call.prompt else ("",),
    )
    return max(purges.get(Scope(*scope), 0) for scope in scopes)


def forget() -> None:
    """Read the purges anew at the next call, after one that was made in this process."""
    _purges.clear()


def _load(_: None) -> dict[Scope, int]:
    rows = CachePurge.objects.order_by().values_list("organization_id", "alias", "prompt_name")
    return {Scope(*row[:3]): row[3] for row in rows.annotate(newest=Max("pk"))}


_purges: Cached[None, dict[Scope, int]] = Cached(_load)
