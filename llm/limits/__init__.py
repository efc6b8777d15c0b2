"""How much callers may ask for: requests, tokens and calls at once, counted by all processes."""

from llm.limits import counters, refusals
from llm.limits.admission import Admission, LimitExceeded, admit, count
from llm.limits.refusals import Refused, note

__all__ = ["Admission", "LimitExceeded", "Refused", "admit", "close", "count", "note"]


async def close() -> None:
    """Tell what is still to be told, when the process ends."""
    await counters.close()
    await refusals.close()
