"""What is refused before anybody is asked: pictures from where secrets are kept."""

import pytest

from core.errors import InvalidRequest
from llm import guard
from llm.types import ChatRequest, ImagePart, ImageUrl, Message, TextPart


def place_refused(url: str) -> str | None:
    """Return where a request with this picture is wrong; None: it may be sent."""
    parts = (TextPart("What is this?"), ImagePart(ImageUrl(url)))
    try:
        guard.check(ChatRequest(model="m", messages=(Message("user", parts),)))
    except InvalidRequest as error:
        return error.param
    return None


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,AAAA",
        "https://example.com/a.png",
        "http://10.0.0.7/a.png",  # a company's own
    ],
)
def test_pictures_come_with_the_call_or_from_the_web(url: str) -> None:
    assert place_refused(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/html,<script>",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[nonsense",
        "https:///a.png",
        "/a.png",
        "",
    ],
)
def test_a_picture_from_elsewhere_is_refused_by_its_place(url: str) -> None:
    assert place_refused(url) == "messages[0].content[1].image_url.url"
