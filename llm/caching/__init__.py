"""Answers that need no new call: given before, in the making, or given to a question alike."""

from llm.caching.flights import close
from llm.caching.sources import stream

__all__ = ["close", "stream"]
