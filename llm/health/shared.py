"""What processes tell each other through Redis: one round trip that writes and reads it all."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from core import redis
from llm.health.breaker import BUCKET, WINDOW, Record, Window
from llm.health.figures import percentile

BUCKETS = WINDOW // BUCKET
MINUTE = 60  # seconds
MINUTES = 5  # that times to the first piece are kept
RUNNING_SECONDS = 6.0  # a process that has not told its running calls for so long has none
FORGOTTEN = 86_400  # seconds; breakers that nothing happens to are closed after a day

# A breaker changes only from the record that was seen, so one process makes each change.
CHANGE = """
local current = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if current ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

Kind = Literal["s", "w"]  # streamed, whole
Times = Counter[tuple[Kind, int]]  # how many first pieces came in each bucket of time
_encode = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(Record).decode


class Running(msgspec.Struct, frozen=True, array_like=True):
    """The calls that a process has running, and when it said so."""

    told_at: float
    calls: dict[int, int]


_decode_running = msgspec.msgpack.Decoder(Running).decode


class Pipeline(Protocol):
    """What redis-py's pipelines share, whether their `execute` is awaited or not."""

    def hgetall(self, name: str) -> Any: ...
    def hincrby(self, name: str, key: str, amount: int) -> Any: ...
    def hset(self, name: str, key: str, value: Any) -> Any: ...
    def hdel(self, name: str, *keys: str) -> Any: ...
    def expire(self, name: str, time: int) -> Any: ...
    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker's move from one record to the next; `None` is closed."""

    before: Record | None
    after: Record | None


@dataclass(slots=True)
class Report:
    """What a process has to tell."""

    process: str = ""
    windows: dict[int, dict[int, Window]] = field(default_factory=dict)  # deployment, bucket
    first: dict[int, Times] = field(default_factory=dict)  # by deployment
    running: dict[int, int] = field(default_factory=dict)
    cooldowns: dict[int, float] = field(default_factory=dict)  # until when, as the vendor wishes
    changes: dict[int, Change] = field(default_factory=dict)
    cleared: list[int] = field(default_factory=list)  # whose calls speak against them no more
    dead: list[str] = field(default_factory=list)  # processes that are no more


@dataclass(slots=True)
class Shared:
    """What all processes know."""

    breakers: dict[int, Record] = field(default_factory=dict)
    cooldowns: dict[int, float] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=lambda: defaultdict(Window))
    first: dict[tuple[int, str], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    usual: dict[int, tuple[float | None, float | None]] = field(default_factory=dict)  # p50, p95
    running: Counter[int] = field(default_factory=Counter)  # in other processes
    dead: list[str] = field(default_factory=list)


def tell(pipeline: Pipeline, report: Report, now: float) -> None:
    """Queue what writes the report."""
    for deployment_id in report.cleared:
        _clear(pipeline, deployment_id, now)
    _tell_calls(pipeline, report, now)
    told = _encode(Running(now, report.running))
    pipeline.hset(redis.key("health", "running"), report.process, told)
    if report.dead:
        pipeline.hdel(redis.key("health", "running"), *report.dead)
    for deployment_id, until in report.cooldowns.items():
        pipeline.hset(redis.key("health", "cooldowns"), str(deployment_id), str(until))
        pipeline.expire(redis.key("health", "cooldowns"), FORGOTTEN)
    for deployment_id, change in report.changes.items():
        queue_change(pipeline, deployment_id, change)


def queue_change(pipeline: Pipeline, deployment_id: int, change: Change) -> None:
    """Queue a breaker's change; its result is 1 where it was made."""
    before, after = (_encode(record) if record else b"" for record in (change.before, change.after))
    key = redis.key("health", "breakers")
    pipeline.eval(CHANGE, 1, key, str(deployment_id), before, after, FORGOTTEN)


def forget(pipeline: Pipeline, deployment_id: int, now: float) -> None:
    """Queue what closes a deployment's breaker and drops the calls that speak against it."""
    pipeline.hdel(redis.key("health", "breakers"), str(deployment_id))
    pipeline.hdel(redis.key("health", "cooldowns"), str(deployment_id))
    _clear(pipeline, deployment_id, now)


READS = 3 + BUCKETS + MINUTES


def ask(pipeline: Pipeline, now: float) -> None:
    """Queue the `READS` commands whose results `read` understands."""
    for name in ("breakers", "cooldowns", "running"):
        pipeline.hgetall(redis.key("health", name))
    for bucket in _buckets(now):
        pipeline.hgetall(_window_key(bucket))
    for minute in range(int(now // MINUTE) - MINUTES + 1, int(now // MINUTE) + 1):
        pipeline.hgetall(_first_key(minute))


def read(results: Sequence[dict[bytes, bytes]], now: float, process: str = "") -> Shared:
    """Return what Redis answered to `ask`, without the running calls of `process`."""
    breakers, cooldowns, running, *counted = results
    shared = Shared(
        breakers={int(name): _decode_record(record) for name, record in breakers.items()},
        cooldowns={int(name): float(until) for name, until in cooldowns.items()},
    )
    _read_running(shared, running, now, process)
    for counts in counted[:BUCKETS]:
        _read_window(shared, counts)
    for counts in counted[BUCKETS:]:
        _read_first(shared, counts)
    for deployment_id in {deployment_id for deployment_id, _ in shared.first}:
        # Where nothing was streamed, the whole answer is the first that was seen of it.
        kind = "s" if (deployment_id, "s") in shared.first else "w"
        times = shared.first[deployment_id, kind]
        shared.usual[deployment_id] = percentile(times, 0.5), percentile(times, 0.95)
    return shared


def _tell_calls(pipeline: Pipeline, report: Report, now: float) -> None:
    for deployment_id, windows in report.windows.items():
        for bucket, window in windows.items():
            _add(pipeline, _window_key(bucket), f"{deployment_id}:c", window.calls, 2 * WINDOW)
            _add(pipeline, _window_key(bucket), f"{deployment_id}:f", window.failures, 2 * WINDOW)
    minute, lifetime = int(now // MINUTE), (MINUTES + 1) * MINUTE
    for deployment_id, times in report.first.items():
        for (kind, bucket), count in times.items():
            _add(pipeline, _first_key(minute), f"{deployment_id}:{kind}:{bucket}", count, lifetime)


def _read_window(shared: Shared, counts: dict[bytes, bytes]) -> None:
    for name, count in counts.items():
        deployment_id, _, what = name.partition(b":")
        window = shared.windows[int(deployment_id)]
        if what == b"c":
            window.calls += int(count)
        else:
            window.failures += int(count)


def _read_first(shared: Shared, counts: dict[bytes, bytes]) -> None:
    for name, count in counts.items():
        deployment_id, kind, bucket = name.split(b":")
        shared.first[int(deployment_id), kind.decode()][int(bucket)] += int(count)


def _read_running(shared: Shared, told: dict[bytes, bytes], now: float, process: str) -> None:
    for name, encoded in told.items():
        running = _decode_running(encoded)
        if running.told_at < now - RUNNING_SECONDS:
            shared.dead.append(name.decode())
        elif name.decode() != process:
            shared.running.update(running.calls)


def _clear(pipeline: Pipeline, deployment_id: int, now: float) -> None:
    for bucket in _buckets(now):
        pipeline.hdel(_window_key(bucket), f"{deployment_id}:c", f"{deployment_id}:f")


def _add(pipeline: Pipeline, key: str, name: str, count: int, lifetime: int) -> None:
    if count:
        pipeline.hincrby(key, name, count)
        pipeline.expire(key, lifetime)


def _buckets(now: float) -> range:
    return range(int(now // BUCKET) - BUCKETS + 1, int(now // BUCKET) + 1)


def _window_key(bucket: int) -> str:
    return redis.key("health", "window", bucket)


def _first_key(minute: int) -> str:
    return redis.key("health", "first", minute)
