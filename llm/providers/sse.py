"""Server-sent events, read from bytes however they are cut, and written again."""

from collections.abc import Sequence

from llm.errors import MalformedAnswer

LONGEST_EVENT = 16_000_000  # bytes; a vendor that never ends an event must not fill the memory
BLANK = b"\n\n"
DATA = b"data:"
START = b"data: "
BETWEEN = b"\n\ndata: "


class SseParser:
    """Collects bytes and gives the data of each event that is complete.

    Comments, event names and ids are left out; the lines may end in LF, CRLF or CR.
    """

    def __init__(self) -> None:
        self._rest = bytearray()  # of an event that is not complete; it grows in place
        self._may_be_half = False  # the last byte was a CR; with a LF it is one line end

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that `received` completes."""
        if self._may_be_half or b"\r" in received:
            received = self._with_plain_ends(received)
        if self._rest:
            received = self._joined(received)
        complete, _, rest = received.rpartition(BLANK)
        if rest:
            self._keep(rest)
        if not complete:
            return []
        return _plain(complete) or _any(complete)

    def end(self) -> list[bytes]:
        """Return the data of a last event that lacks its empty line."""
        return self.feed(BLANK)

    def _joined(self, received: bytes) -> bytes:
        """Return the event that waits with what completes it; nothing if it goes on waiting.

        Only where the two meet and in what is new is its end looked for, and nothing is copied
        before it has come: a vendor that sends byte by byte costs no more for it.
        """
        seam = len(self._rest) - 1
        self._rest += received
        if self._rest.find(BLANK, seam) < 0:
            self._keep(b"")
            return b""
        text = bytes(self._rest)
        self._rest.clear()
        return text

    def _keep(self, rest: bytes) -> None:
        self._rest += rest
        if len(self._rest) > LONGEST_EVENT:
            raise MalformedAnswer("The model's answer has an event without end.")

    def _with_plain_ends(self, received: bytes) -> bytes:
        text = b"\r" + received if self._may_be_half else received
        self._may_be_half = text.endswith(b"\r")
        if self._may_be_half:
            text = text[:-1]
        return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


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
    return [data for event in complete.split(BLANK) if (data := _data(event)) is not None]


def _data(event: bytes) -> bytes | None:
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(DATA)]
    return b"\n".join(lines) if lines else None
