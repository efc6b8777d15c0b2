"""How often the words of an answer are sent, so that its bytes stay near those of its text."""

from collections.abc import Sequence

from chat.events import Logged, encode

FRAME_BYTES = 4  # a WebSocket frame's head
EVENT_BYTES = 28  # about what an event costs beside its text
# All that is sent (text, HTML, events) may be so many times the text; the first words are free,
# because nothing is worth more than a quick beginning.
MOST_TIMES_TEXT = 2.75
HEAD_START_BYTES = 3_000
SHORTEST_WAIT = 0.03  # seconds between two events
LONGEST_WAIT = 0.6


class Pace:
    """Says when the next words may go out: at once, if there is room, and never very late."""

    def __init__(self) -> None:
        self._text = 0
        self._sent = 0
        self._last_at = 0.0

    def is_due(self, waiting: int, now: float) -> bool:
        """Return whether so many characters that wait should go out now."""
        elapsed = now - self._last_at
        if elapsed < SHORTEST_WAIT:
            return False
        most = MOST_TIMES_TEXT * (self._text + waiting) + HEAD_START_BYTES
        return self._sent + waiting + EVENT_BYTES <= most or elapsed >= LONGEST_WAIT

    def sent(self, new: Sequence[Logged], text: str, now: float) -> None:
        """Remember what went out for a piece of the text."""
        self._text += len(text.encode())
        self._sent += sum(len(encode(event)) + FRAME_BYTES for event in new)
        self._last_at = now
