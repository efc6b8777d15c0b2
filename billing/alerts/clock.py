"""The time, which callers may set."""

from collections.abc import Callable
from datetime import datetime, timedelta

Clock = Callable[[], datetime]

A_DAY = timedelta(days=1)
