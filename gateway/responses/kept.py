"""Responses in Redis, for a while: what a later request of the same caller may refer to.

Of each there are two: the answer, and the conversation that led to it, which is far larger. Each
kind has half of the organization's room, so that conversations push out no answers. What has not
been asked for longest goes first.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Literal

from django.conf import settings

from accounts.models import CacheMode
from accounts.principal import Principal
from core import redis
from core.errors import DependencyDown
from gateway import redis_line
from gateway.redis_line import Command, Replies

Kind = Literal["answer", "conversation"]

RESPONSE_ID = re.compile(r"resp_[0-9a-f]{32}")

# KEYS: the record, when each was used last, the bytes of each.
FORGET = """
local function forget(name)
  local was_there = redis.call('DEL', name)
  redis.call('ZREM', KEYS[2], name)
  local freed = redis.call('HGET', KEYS[3], name)
  if freed then
    redis.call('HDEL', KEYS[3], name)
    redis.call('HINCRBY', KEYS[3], 'all', -freed)
  end
  return was_there
end
"""
FORGET_ONE = f"{FORGET} return forget(KEYS[1])"
# ARGV: the body, seconds, the room of all.
KEEP = f"""{FORGET}
local now = tonumber(redis.call('TIME')[1])
forget(KEYS[1])
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2])) do
  forget(name)
end
local room = ARGV[3] - #ARGV[1]
while tonumber(redis.call('HGET', KEYS[3], 'all') or 0) > room do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if oldest then forget(oldest) else redis.call('DEL', KEYS[3]) end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('ZADD', KEYS[2], now, KEYS[1])
redis.call('HSET', KEYS[3], KEYS[1], #ARGV[1])
redis.call('HINCRBY', KEYS[3], 'all', #ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[2])
"""
# ARGV: seconds.
FIND = """
local body = redis.call('GET', KEYS[1])
if body then
  redis.call('ZADD', KEYS[2], 'XX', redis.call('TIME')[1], KEYS[1])
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[1]) end
end
return body
"""


def is_on(owner: Principal) -> bool:
    """Return whether the caller's responses are kept; a key that may not write the cache has none.

    Whoever has said so of a key wants none of its answers to be kept.
    """
    may_write = owner.cache_mode in (CacheMode.ON, CacheMode.WRITE)
    return may_write and settings.RESPONSE_HOURS > 0 and not redis_line.outage.is_paused


def fits(body: bytes) -> bool:
    """Return whether something so large is kept."""
    return len(body) <= min(settings.MAX_BODY_BYTES, _room())


def keep(
    owner: Principal, response_id: str, *, answer: bytes, conversation: bytes
) -> "asyncio.Future[Replies]":
    """Keep a response, and return where the word will be that it is kept."""
    bodies: tuple[tuple[Kind, bytes], ...] = (("answer", answer), ("conversation", conversation))
    said = [
        _command(KEEP, owner, kind, response_id, body, _seconds(), _room()) for kind, body in bodies
    ]
    return redis_line.enqueue(said)


async def find(owner: Principal, kind: Kind, response_ids: Sequence[str]) -> list[bytes | None]:
    """Return what is kept of the caller's own responses; whatever is used stays for longer."""
    return await _ask([_command(FIND, owner, kind, id, _seconds()) for id in response_ids])


async def forget(owner: Principal, response_id: str) -> bool:
    """Forget a response; return whether there was one."""
    kinds: tuple[Kind, ...] = ("answer", "conversation")
    return any(await _ask([_command(FORGET_ONE, owner, kind, response_id) for kind in kinds]))


async def _ask(said: Sequence[Command]) -> list[bytes | None]:
    replies = await redis_line.send(said)
    if replies is None:
        raise DependencyDown("Kept responses cannot be looked up now; ask again.")
    return replies


def _command(script: str, owner: Principal, kind: Kind, id: str, *said: object) -> Command:
    of_organization = redis.key("responses", owner.organization_id, kind)
    if owner.user_id is None:
        record = f"{of_organization}:key-{owner.api_key_id}:{id}"
    else:
        record = f"{of_organization}:person-{owner.user_id}:{id}"
    keys = (record, f"{of_organization}:used", f"{of_organization}:bytes")
    return ("EVAL", script, len(keys), *keys, *said)


def _room() -> int:
    return int(settings.MAX_RESPONSES_BYTES) // 2


def _seconds() -> int:
    return max(1, int(settings.RESPONSE_HOURS * 3600))
