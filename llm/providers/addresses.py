"""How a provider's closed address is told: as an error that is not worth a second try."""

from core.closed_addresses import WHY
from llm.errors import ConnectionFailed


class AddressClosed(ConnectionFailed):
    """The address is one that no provider is called at."""

    is_retryable = False


def refusal(provider: str) -> AddressClosed:
    """Return the error, in words for staff."""
    return AddressClosed(f"The address of {provider} is one that is never called: {WHY}.")
