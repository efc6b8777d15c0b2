"""Server-sent events, read from bytes however they are cut, and written again."""

from collections.abc import Sequence

from llm.errors import MalformedAnswer

LONGEST_EVENT = 16_000_000  # bytes; a vendor that never ends an event must not fill the memory
DATA = b"data:"
START = b"data: "
BETWEEN = b"\n\ndata: "


class SseParser:
    """Collects bytes and gives the data of each event that is complete.

    Comments, event names and ids are left out; the lines may end in LF, CRLF or CR.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that `received` completes."""
        text = self._rest + received if self._rest else received
        held = b""
        if b"\r" in text:
            if text.endswith(b"\r"):  # half of a CRLF, perhaps
                text, held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        complete, _, rest = text.rpartition(b"\n\n")
        self._rest = rest + held
        if len(self._rest) > LONGEST_EVENT:
            raise MalformedAnswer("The model's answer has an event without end.")
        if not complete:
            return []
        return _plain(complete) or _any(complete)

    def end(self) -> list[bytes]:
        """Return the data of a last event that lacks its empty line."""
        return self.feed(b"\n\n")


def encode(events: Sequence[bytes]) -> bytes:
    """Return JSON documents as events, one line each (a line break in JSON is only white space)."""
    return START + BETWEEN.join([event.replace(b"\n", b" ") for event in events]) + b"\n\n"


def _plain(complete: bytes) -> list[bytes]:
    """Return the data of events that are one `data: ` line each, as they nearly always are."""
    if not complete.startswith(START):
        return []
    events = complete[len(START) :].split(BETWEEN)
    return events if complete.count(b"\n") == 2 * (len(events) - 1) else []


def _any(complete: bytes) -> list[bytes]:
    return [data for event in complete.split(b"\n\n") if (data := _data(event)) is not None]


def _data(event: bytes) -> bytes | None:
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(DATA)]
    return b"\n".join(lines) if lines else None
