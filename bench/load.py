"""A load generator that costs little: raw sockets, prepared bytes, every answer checked.

A fixed number of connections, each sending its next request when the answer is complete. Prints
one JSON object: calls and tokens a second, latency and time to first token in milliseconds.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

MARK = b'"content":" token"'  # once in each chunk that carries a token
DONE = b"data: [DONE]"
END_OF_STREAM = b"0\r\n\r\n"
PATIENCE = 30.0  # seconds for what is under way when the time is over


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, how often at once, for how long."""

    request: bytes
    is_stream: bool
    tokens: int
    seconds: float


@dataclass(slots=True)
class Tally:
    """What came of it."""

    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    tokens: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    last_at: float = 0.0

    def fail(self, reason: str) -> None:
        self.errors[reason] = self.errors.get(reason, 0) + 1


class Client(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, job: Job, tally: Tally, until: float) -> None:
        self._job, self._tally, self._until = job, tally, until
        self.is_finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_finished.done():
            self._tally.fail("connection lost")
            self.is_finished.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._job.is_stream:
            self._receive_stream(data)
        else:
            self._receive_whole(data)

    def _send(self) -> None:
        self._received, self._seen, self._is_first = b"", 0, True
        self._sent_at = time.perf_counter()
        self.transport.write(self._job.request)

    def _receive_whole(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length or 0):
            return
        is_right = head.startswith(b"HTTP/1.1 200") and b'"usage"' in body
        self._complete(is_right, head.partition(b"\r\n")[0])

    def _receive_stream(self, data: bytes) -> None:
        text = self._received + data
        if self._is_first:
            if not text.startswith(b"HTTP/1.1 200"):
                self._complete(False, text.partition(b"\r\n")[0])
                return
            if MARK in text:
                self._is_first = False
                self._tally.first_tokens.append(time.perf_counter() - self._sent_at)
            else:
                self._received = text
                return
        self._seen += text.count(MARK)
        if text.endswith(END_OF_STREAM):
            is_right = self._seen == self._job.tokens and DONE in text
            self._complete(is_right, b"%d tokens" % self._seen)
        else:
            cut = text.rfind(MARK)  # keep what may be half a mark, or the end
            start = max(len(text) - 2 * len(MARK), cut + len(MARK) if cut >= 0 else 0)
            self._received = text[start:]

    def _complete(self, is_right: bool, reason: bytes) -> None:
        now = time.perf_counter()
        tally = self._tally
        if is_right:
            tally.latencies.append(now - self._sent_at)
            tally.tokens += self._job.tokens
            tally.last_at = now
        else:
            tally.fail(reason.decode(errors="replace"))
        if now < self._until:
            self._send()
        else:
            self.is_finished.set_result(None)
            self.transport.close()


def request(address: str, key: str, model: str, prompt: str, *, is_stream: bool) -> bytes:
    """Return the bytes of one call."""
    parts = urlsplit(address)
    asked: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 1000,
    }
    if is_stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(asked, separators=(",", ":")).encode()
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(address: str, connections: int, job: Job) -> Tally:
    """Do the work and return the tally."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(address)
    tally = Tally()
    until = time.perf_counter() + job.seconds

    async def connect() -> Client:
        _, client = await loop.create_connection(
            lambda: Client(job, tally, until), parts.hostname or "127.0.0.1", parts.port or 80
        )
        return client

    clients = await asyncio.gather(*(connect() for _ in range(connections)))
    await asyncio.wait([c.is_finished for c in clients], timeout=job.seconds + PATIENCE)
    unfinished = sum(not client.is_finished.done() for client in clients)
    if unfinished:
        tally.errors["not finished"] = unfinished
    return tally


def percentile(values: list[float], share: float) -> float | None:
    """Return the value below which `share` of the others lie, in milliseconds."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3)


def summary(tally: Tally, began_at: float) -> dict[str, object]:
    """Return what is printed."""
    took = max(tally.last_at - began_at, 1e-9)
    return {
        "calls": len(tally.latencies),
        "calls_per_s": len(tally.latencies) / took,
        "tokens": tally.tokens,
        "tokens_per_s": tally.tokens / took,
        "p50": percentile(tally.latencies, 0.5),
        "p99": percentile(tally.latencies, 0.99),
        "ttft_p50": percentile(tally.first_tokens, 0.5),
        "ttft_p99": percentile(tally.first_tokens, 0.99),
        "errors": tally.errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="such as http://127.0.0.1:8000/v1")
    parser.add_argument("--key", default="none")
    parser.add_argument("--model", required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--tokens", type=int, default=20, help="in each answer")
    parser.add_argument("--gap", type=int, default=0, help="milliseconds between tokens")
    options = parser.parse_args()
    prompt = f"Count. [[n={options.tokens} gap={options.gap}]]"
    job = Job(
        request(options.url, options.key, options.model, prompt, is_stream=options.stream),
        options.stream,
        options.tokens,
        options.seconds,
    )
    began_at = time.perf_counter()
    tally = uvloop.run(run(options.url, options.connections, job))
    json.dump(summary(tally, began_at), sys.stdout)


if __name__ == "__main__":
    main()
