"""Requests with an `Idempotency-Key`: made once, and answered again to whoever repeats them."""

from gateway.idempotency.asking import is_asked, is_resumption
from gateway.idempotency.serving import close, serve

__all__ = ["close", "is_asked", "is_resumption", "serve"]
