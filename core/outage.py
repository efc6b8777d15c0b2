"""Redis being away: said once, and not waited for with every call."""

import time

import structlog
from redis.exceptions import RedisError

logger = structlog.get_logger(__name__)

AWAY = (RedisError, OSError)  # a timeout is an OSError
PATIENCE = 0.5  # seconds for an answer
REST = 5.0  # seconds after a failure until Redis is asked again


class Outage:
    """Whether Redis is away for one purpose, and whether it is worth asking."""

    def __init__(self, name: str) -> None:
        self._name = name  # begins the events in the log: "llm.limits"
        self._is_on = False
        self._ask_again_at = 0.0

    @property
    def is_resting(self) -> bool:
        return self._is_on and time.monotonic() < self._ask_again_at

    def began(self, error: BaseException) -> None:
        """Remember that Redis did not answer; warn the first time."""
        self._ask_again_at = time.monotonic() + REST
        if not self._is_on:
            self._is_on = True
            logger.warning(f"{self._name}_away", error=type(error).__name__)

    def ended(self) -> None:
        """Remember that Redis has answered."""
        if self._is_on:
            self._is_on = False
            logger.info(f"{self._name}_back")
