"""What is checked of a request before anybody is asked or anything is paid for."""

from django.conf import settings

from core.errors import InvalidRequest
from llm.types import ChatRequest, Message, TextPart


def check(request: ChatRequest) -> None:
    """Refuse what nobody could answer, with `InvalidRequest`."""
    if not request.messages:
        raise InvalidRequest("There must be at least one message.", param="messages")
    if sum(map(_size, request.messages)) > settings.MAX_BODY_BYTES:
        raise InvalidRequest(
            f"The messages are longer than {settings.MAX_BODY_BYTES} bytes.", param="messages"
        )
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidRequest("max_tokens must be at least 1.", param="max_tokens")
    if request.extra.get("n") not in (None, 1):
        raise InvalidRequest("A request has one answer: n must be 1.", param="n")


def _size(message: Message) -> int:
    """Return the content's length; in characters, which is cheap and never above its bytes."""
    if message.content is None or isinstance(message.content, str):
        return len(message.content or "")
    return sum(
        len(part.text if isinstance(part, TextPart) else part.image_url.url)
        for part in message.content
    )
