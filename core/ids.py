"""Identifiers that can be made before the database is asked."""

import os
import time
import uuid
from datetime import datetime


def new_id() -> uuid.UUID:
    """Return a UUID version 7 (RFC 9562): unique, and rows made later sort later."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)  # version
    value = (value & ~(0x3 << 62)) | (0x2 << 62)  # variant
    return uuid.UUID(int=value)


def lowest_id(moment: datetime) -> uuid.UUID:
    """Return what no id made at `moment` or later is below."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)
