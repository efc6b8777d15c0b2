"""PostgreSQL being away is a state with an answer, not a crash."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, close_old_connections

from core.errors import DependencyDown


@contextmanager
def translate_outage() -> Iterator[None]:
    """Raise `DependencyDown` (503, with a time to retry) where PostgreSQL does not answer."""
    close_old_connections()
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DependencyDown("The database does not answer; try again in a moment.") from error
    finally:
        close_old_connections()
