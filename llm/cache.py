"""Answers that were given before to the very same question of the same organization.

Redis being away means no cache, never an error.
"""

import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

import msgspec
import structlog
from django.conf import settings
from msgspec import Struct
from redis.exceptions import RedisError

from billing import ledger
from billing.models import Outcome
from billing.pricing import TokenUsage
from core import redis
from llm.guard import Fitting
from llm.metering import attempt_for, zero_cost
from llm.routing import Route
from llm.types import Call, ChatRequest, Delta, Event, Finished, FinishReason, Started

logger = structlog.get_logger(__name__)

LARGEST = 1_000_000  # bytes of an answer that is kept
REST_SECONDS = 5.0  # without Redis, before it is asked again

T = TypeVar("T")
