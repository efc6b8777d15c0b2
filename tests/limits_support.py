"""What the tests of limits share: a caller, the rules that count for them, counters by hand."""

from collections.abc import Sequence

import pytest
from asgiref.sync import sync_to_async

from accounts.models import Organization
from accounts.principal import Principal
from core import redis
from llm import limits
from llm.limits import LimitExceeded, rules
from llm.limits.rules import Rule
from llm.limits.windows import Figure, Kind, Seen, Want
from llm.models import Limit, Scope
from llm.types import Call, ChatRequest
from tests.llm_support import ask

RULE = Rule(id=1, name="Test", scope="user", requests=1, tokens=1, seconds=60, parallel=1)
KINDS: dict[Figure, Kind] = {"requests": "window", "tokens": "counter", "parallel": "lease"}


def want(
    figure: Figure, limit: int, *, seconds: int = 60, amount: int = 1, who: object = ""
) -> Want:
    """Return what a call takes of a counter; `who` tells tests apart."""
    key = redis.key("limits", f"{{{figure}:{who}}}")
    return Want(RULE, figure, KINDS[figure], key, limit, seconds, amount)


def limit(name: str = "Test", scope: Scope = Scope.ORGANIZATION, **figures: object) -> Limit:
    """Make a limit, in force at once in this process."""
    made = Limit.objects.create(name=name, scope=scope, **figures)
    rules.forget()
    return made


alimit = sync_to_async(limit)


def call_by(
    organization: Organization,
    *,
    user: int | None = None,
    key: int | None = None,
    ip: str = "",
) -> Call:
    principal = Principal(
        organization_id=organization.pk,
        user_id=user,
        user_name=f"user-{user}" if user else "",
        api_key_id=key,
        api_key_prefix=f"pk-{key}" if key else "",
    )
    return Call(principal=principal, surface="api", request_id="request-1", ip=ip)


def taken(seen: Sequence[Seen]) -> list[bool]:
    return [each.is_taken for each in seen]


async def is_admitted(call: Call, request: ChatRequest | None = None) -> bool:
    try:
        await limits.admit(request or ask(), call)
    except LimitExceeded:
        return False
    return True


async def refused(call: Call, request: ChatRequest | None = None) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        await limits.admit(request or ask(), call)
    return caught.value
