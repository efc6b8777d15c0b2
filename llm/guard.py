"""What is checked of a request before anybody is asked or anything is paid for."""

from urllib.parse import urlsplit

from django.conf import settings

from core import closed_addresses
from core.errors import InvalidRequest
from llm.types import ChatRequest, ImagePart, Message, TextPart


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
    for index, message in enumerate(request.messages):
        if isinstance(message.content, tuple):
            _check_pictures(message.content, f"messages[{index}].content")


def _size(message: Message) -> int:
    """Return the content's length; in characters, which is cheap and never above its bytes."""
    if message.content is None or isinstance(message.content, str):
        return len(message.content or "")
    return sum(
        len(part.text if isinstance(part, TextPart) else part.image_url.url)
        for part in message.content
    )


def _check_pictures(parts: tuple[TextPart | ImagePart, ...], place: str) -> None:
    """Refuse addresses of which a server that fetches them could be made to tell its secrets."""
    for index, part in enumerate(parts):
        if isinstance(part, ImagePart) and not _may_be_fetched(part.image_url.url):
            raise InvalidRequest(
                "A picture is a `data:image/…` or at an `https:` or `http:` address, and not where "
                "a cloud keeps its machines' secrets.",
                param=f"{place}[{index}].image_url.url",
            )


def _may_be_fetched(url: str) -> bool:
    if url.startswith("data:image/"):
        return True
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError:
        return False
    is_web = address.scheme in ("http", "https") and bool(host)
    return is_web and not closed_addresses.is_closed(host or "")
