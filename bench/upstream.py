"""A vendor that costs almost nothing: OpenAI's wire from prepared bytes.

The request says how it is to be answered: `[[n=300 gap=20]]` in the prompt asks for 300 tokens,
20 ms apart. Each token is a write of its own, as models send them.
"""

import argparse
import asyncio
import re
import signal
from typing import cast

import uvloop

MODEL = "bench-model"
ORDER = re.compile(rb"\[\[n=(\d+) gap=(\d+)\]\]")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PROMPT_TOKENS = 10
TOKEN = b" token"

HEAD = (
    b'{"id":"chatcmpl-bench","object":"chat.completion%s","created":1700000000,'
    b'"model":"' + MODEL.encode() + b'",'
)
STREAM_HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
END_OF_STREAM = b"0\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    """Return `payload` as one chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def frame(choices: bytes, usage: bytes = b"null") -> bytes:
    """Return one server-sent event in a chunk."""
    return chunk(
        b"data: " + HEAD % b".chunk" + b'"choices":[' + choices + b'],"usage":' + usage + b"}\n\n"
    )


def delta(content: bytes, reason: bytes = b"null") -> bytes:
    """Return a choice of a streamed answer."""
    return b'{"index":0,"delta":{' + content + b'},"logprobs":null,"finish_reason":' + reason + b"}"


def usage(tokens: int) -> bytes:
    """Return what the answer took."""
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
        PROMPT_TOKENS,
        tokens,
        PROMPT_TOKENS + tokens,
    )


FIRST = frame(delta(b'"role":"assistant","content":""'))
NEXT = frame(delta(b'"content":"' + TOKEN + b'"'))


def last(tokens: int) -> bytes:
    """Return how a stream of so many tokens ends."""
    stop = frame(delta(b"", b'"stop"'))
    return stop + frame(b"", usage(tokens)) + chunk(b"data: [DONE]\n\n") + END_OF_STREAM


def whole(tokens: int) -> bytes:
    """Return an answer in one piece, with its headers."""
    message = b'"message":{"role":"assistant","content":"' + TOKEN * tokens + b'","refusal":null}'
    choice = b'{"index":0,' + message + b',"logprobs":null,"finish_reason":"stop"}'
    body = HEAD % b"" + b'"choices":[' + choice + b'],"usage":' + usage(tokens) + b"}"
    headers = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return headers % len(body) + body


class Vendor(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = b""
        self._whole: dict[int, bytes] = {}
        self._last: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        order = ORDER.search(body)
        tokens, gap = (int(order[1]), int(order[2])) if order else (1, 0)
        if b'"stream":true' not in body:
            self.transport.write(self._whole.get(tokens) or self._prepare(tokens))
            return
        self.transport.write(STREAM_HEADERS + FIRST)
        self._send(tokens, tokens, gap / 1000)

    def _prepare(self, tokens: int) -> bytes:
        self._whole[tokens] = whole(tokens)
        return self._whole[tokens]

    def _send(self, left: int, tokens: int, gap: float) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(self._last.setdefault(tokens, last(tokens)))
            return
        self.transport.write(NEXT)
        loop = asyncio.get_running_loop()
        if gap:
            loop.call_later(gap, self._send, left - 1, tokens, gap)
        else:
            loop.call_soon(self._send, left - 1, tokens, gap)


async def serve(port: int) -> None:
    """Serve until told to stop."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(Vendor, "127.0.0.1", port, backlog=4096)
    async with server:
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
