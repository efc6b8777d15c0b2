"""Ids as programs see them: what it is, and the key of its row: `file-0192…`, `batch_0192…`."""

from typing import Literal
from uuid import UUID

Prefix = Literal["file-", "batch_"]


def shown(prefix: Prefix, key: UUID) -> str:
    """Return the id of a row."""
    return f"{prefix}{key.hex}"


def read(prefix: Prefix, text: str) -> UUID | None:
    """Return the key in an id; `None` for what is none."""
    try:
        key = UUID(text.removeprefix(prefix))
    except ValueError:
        return None
    return key if shown(prefix, key) == text else None
