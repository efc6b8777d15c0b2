"""What is said to Redis of an answer: who makes it, its log, and how it ended.

The record says what became of a request; whoever answers it holds the lease. The log has the head
of the answer, its numbered pieces and its end: an entry's id is the number of its piece, so that
none can be there twice or out of order.
"""

from typing import Literal

import msgspec
from django.conf import settings

from gateway.errors import Headers
from gateway.redis_line import Command

LEASE = 6.0  # seconds; a process that gives no sign for so long has lost its answers
SIGN = 1.5  # seconds between two signs
ERROR_KEPT = 60  # seconds; for those who read the same answer
MOST_ENTRIES = 500  # in one read

# "begun": it is the caller's to make. "unknown": there is nothing, and nobody makes it.
State = Literal["begun", "unknown", "reused", "running", "kept", "interrupted", "not_kept"]
End = Literal["kept", "interrupted", "not_kept", "forgotten"]

# KEYS: record, lease. ARGV: fingerprint, holder, milliseconds of the lease, seconds, may begin.
CLAIM = """
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'state', 'holder')
if not known[1] then
  if ARGV[5] == '' then return {'unknown', ''} end
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'state', 'running', 'holder', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  return {'begun', ARGV[2]}
end
if ARGV[1] ~= '' and known[1] ~= ARGV[1] then return {'reused', ''} end
if known[2] == 'running' and redis.call('EXISTS', KEYS[2]) == 0 then return {'interrupted', ''} end
return {known[2], known[3]}
"""
# KEYS: record, lease, log, sum of what the API key keeps. ARGV: holder, end, seconds of the record,
# of the log of an error, bytes, most bytes. Who reads the log of what is not kept can read it out.
END = """
local ended, seconds = ARGV[2], ARGV[3]
if ended == 'kept' then
  local kept = redis.call('INCRBY', KEYS[4], ARGV[5])
  if kept == tonumber(ARGV[5]) then redis.call('EXPIRE', KEYS[4], ARGV[3]) end
  if kept > tonumber(ARGV[6]) then
    ended = 'not_kept'
    redis.call('DECRBY', KEYS[4], ARGV[5])
  end
end
if ended ~= 'kept' and ended ~= 'interrupted' then seconds = ARGV[4] end
redis.call('EXPIRE', KEYS[3], seconds)
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return end
redis.call('DEL', KEYS[2])
if ended == 'forgotten' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'state', ended)
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""


class Head(msgspec.Struct, frozen=True):
    """How an answer begins."""

    status: int
    headers: Headers

    @property
    def is_stream(self) -> bool:
        """Whether its pieces are events."""
        return any(
            name == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in self.headers
        )


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of the log: one of these."""

    head: Head | None = None
    piece: bytes | None = None
    end: End | None = None


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode


class Log:
    """The commands about one answer."""

    def __init__(self, record: str, holder: str) -> None:
        self.holder = holder
        self._record = record
        self._lease = lease_of(record)
        self._key = f"{record}:{holder}"
        self._seconds = kept_seconds()

    def head(self, head: Head) -> list[Command]:
        """Write how it begins; whoever is killed leaves nothing for ever."""
        return [self._add("0-1", Entry(head=head)), ("EXPIRE", self._key, self._seconds)]

    def piece(self, number: int, piece: bytes) -> Command:
        """Write a piece; the first one has the number 1."""
        return self._add(f"{number}-0", Entry(piece=piece))

    def empty(self) -> Command:
        """Forget what was written."""
        return ("DEL", self._key)

    def end(self, end: End, last: int, size: int = 0) -> list[Command]:
        """Write that there are no more pieces after the number `last`, and what becomes of it.

        One of `size` bytes is kept only where the API key has room for it.
        """
        keys = (self._record, self._lease, self._key, sum_of(self._record))
        room = settings.MAX_IDEMPOTENCY_BYTES
        said = (self.holder, end, self._seconds, ERROR_KEPT, size, room)
        return [self._add(f"{last}-2", Entry(end=end)), ("EVAL", END, len(keys), *keys, *said)]

    def sign(self) -> Command:
        """Hold the lease for longer."""
        return ("SET", self._lease, self.holder, "PX", int(LEASE * 1000))

    def read(self, after: bytes) -> list[Command]:
        """Read on, and look who is there: the entries, the lease, the record."""
        return [
            ("XRANGE", self._key, after, "+", "COUNT", MOST_ENTRIES),
            ("EXISTS", self._lease),
            ("HGET", self._record, "holder"),
        ]

    def _add(self, id: str, entry: Entry) -> Command:
        return ("XADD", self._key, id, "e", _encode(entry))


def claim(record: str, *, fingerprint: str, holder: str, may_begin: bool) -> Command:
    """Take the request, or learn what became of it and who has taken it."""
    milliseconds = int(LEASE * 1000)
    said = (fingerprint, holder, milliseconds, kept_seconds(), "1" if may_begin else "")
    return ("EVAL", CLAIM, 2, record, lease_of(record), *said)


def lease_of(record: str) -> str:
    return f"{record}:lease"


def sum_of(record: str) -> str:
    """Return where the bytes are counted that one API key keeps."""
    return f"{record.rpartition(':')[0]}:bytes"


def kept_seconds() -> int:
    """Return for how long an answer is kept."""
    return max(1, int(settings.IDEMPOTENCY_HOURS * 3600))
