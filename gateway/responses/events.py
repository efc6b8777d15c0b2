"""The server-sent events of a streamed response, numbered and named."""

from collections.abc import Callable
from typing import Any

import msgspec

from core.errors import AppError
from gateway import errors
from gateway.responses import answer, logprobs
from gateway.responses.answer import Response
from gateway.responses.writing import Event, Output
from llm.types import Delta, Finished, Started

_encode = msgspec.json.Encoder().encode


def close(response: Response, output: Output, started: Started, finished: Finished) -> list[Event]:
    """Make the response whole, and return the events that its output ends with."""
    answer.finish(response, started, finished)
    closing = output.end(response.status)
    response.output = output.items
    return closing


def error_event(error: AppError, number: int = 0) -> bytes:
    """Return the event on which clients raise: OpenAI's documented fields, and those it sends."""
    told: Any = msgspec.json.decode(errors.body(error))["error"]
    documented = {name: told[name] for name in ("code", "message", "param")}
    event = {"type": "error", **documented, "error": told, "sequence_number": number}
    return _as_bytes(event)


class EventEncoder:
    """Tells of one response from its beginning to its end, in bytes."""

    def __init__(
        self,
        started: Started,
        response: Response,
        keep: Callable[[Response], None],
        *,
        wants_logprobs: bool,
    ) -> None:
        self._started = started
        self._response = response
        self._keep = keep
        self._output = Output(started.usage_id.hex)
        self._wants_logprobs = wants_logprobs
        self._number = 0

    def begin(self) -> bytes:
        """Return the events that come before the answer."""
        return self._about("response.created") + self._about("response.in_progress")

    def delta(self, delta: Delta) -> bytes:
        """Return the events for the next piece of the answer."""
        found = logprobs.read(delta.raw) if self._wants_logprobs else []
        return self._encoded(self._output.add(delta, found))

    def finish(self, finished: Finished) -> bytes:
        """Return the events of a true end."""
        closing = close(self._response, self._output, self._started, finished)
        self._keep(self._response)
        return self._encoded(closing) + self._about(f"response.{self._response.status}")

    def fail(self, error: AppError) -> bytes:
        """Return the end of a stream that broke: the clients raise on the first of its events."""
        self._output.end("incomplete")
        self._response.output = self._output.items
        answer.fail(self._response, error)
        broken = error_event(error, self._number)
        self._number += 1
        return broken + self._about("response.failed")

    def _about(self, type: str) -> bytes:
        return self._encoded([{"type": type, "response": self._response}])

    def _encoded(self, events: list[Event]) -> bytes:
        return b"".join(map(self._one, events))

    def _one(self, event: Event) -> bytes:
        event["sequence_number"] = self._number
        self._number += 1
        return _as_bytes(event)


def _as_bytes(event: Event) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), _encode(event))
