"""What our WebSockets have in common: who is on one, which words it speaks, how it is closed."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from accounts.models import User
from accounts.services import signed_in
from core.errors import AppError

INTERNAL_ERROR = 1011
SIGNED_OUT = 4401
FORBIDDEN = 4403
NOT_FOUND = 4404
WRONG_VERSION = 4406
CLOSE_CODES = {401: SIGNED_OUT, 403: FORBIDDEN, 404: NOT_FOUND}


class SignedOut(AppError):
    """Nobody is signed in on this connection, or no longer."""

    code = "signed_out"
    http_status = 401


class VersionedConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """A socket whose subprotocol names the version of its words."""

    channel_layer_alias = ""  # it opens also while Redis is away
    version: str

    async def connect(self) -> None:
        """Accept first: a browser is told the code only of a connection that was open."""
        offered = self.scope["subprotocols"]
        await self.accept(subprotocol=self.version if self.version in offered else None)
        if offered and self.version not in offered:
            await self.close(WRONG_VERSION)
        else:
            await self.opened()

    async def opened(self) -> None:
        """Do what is to be done as soon as the socket is open."""
        raise NotImplementedError

    async def close_for(self, error: AppError) -> None:
        """Close it with the code that tells its page whether to come back."""
        await self.close(CLOSE_CODES.get(error.http_status, INTERNAL_ERROR))


def user_on(scope: dict[str, Any]) -> User:
    """Return who is signed in now: the session may have ended since the connection was opened."""
    user = signed_in(scope["session"].session_key)
    if user is None:
        raise SignedOut("You are signed out. Sign in again to go on.")
    return user
