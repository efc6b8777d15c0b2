"""What somebody does who means harm, or a model that repeats after them."""

import time
import uuid
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from asgiref.sync import sync_to_async

from accounts import sockets
from accounts.models import User
from chat import consumers, generation, markdown, services
from chat.blocks import Blocks
from chat.models import Message
from tests.chat_support import Person, ended
from tests.vendor import Answer, FakeVendor

LENGTH = 40_000
GROWING = ["- a\n", "- a\n  - b\n", "> a\n", "| a | b |\n", "1. a\n", "a\n", "$$\na\n"]


class Seen(HTMLParser):
    """What a browser would make of the HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.urls += [value or "" for name, value in attrs if name == "href"]


on_the_socket = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]


def assert_grows_with_its_length(read: Callable[[int], object]) -> None:
    """Fail if four times the text takes much more than four times the work, on any machine."""

    def seconds(length: int) -> float:
        began_at = time.process_time()
        read(length)
        return time.process_time() - began_at

    a_quarter = max(0.1, seconds(LENGTH // 4))
    assert seconds(LENGTH) < 10 * a_quarter  # with its square it would be sixteen times


@pytest.mark.parametrize("piece", ["\\(", "\\[", "$$a ", "$a ", "[", "![", "> ", "*a _b ", "<a "])
def test_a_long_answer_of_openings_is_rendered_soon(piece: str) -> None:
    assert_grows_with_its_length(lambda length: markdown.render(piece * (length // len(piece))))


@pytest.mark.parametrize("piece", GROWING)
def test_a_block_that_never_ends_is_not_read_again_for_each_line(piece: str) -> None:
    def feed(length: int) -> None:
        text = "$$\n" * piece.startswith("$") + piece * (length // len(piece))
        blocks = Blocks()
        for start in range(0, len(text), 200):
            blocks.feed(text[start : start + 200])
        blocks.finish()

    assert_grows_with_its_length(feed)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt&colon;alert(1))",
        "[a](data:text/html,<script>alert(1)</script>)",
        "[a](vbscript:x)",
        "![a](https://evil.example/pixel.png)",
        "![a](data:image/svg+xml;base64,PHN2Zz4=)",
        "<javascript:alert(1)>",
        '[a](https://a.example "x\\" onmouseover=alert(1) y")',
        '```"><img src=x onerror=alert(1)>\ncode\n```',
        "$\\text{<script>alert(1)</script>}$",
        "$$\\href{javascript:alert(1)}{x}$$",
        "$\\class{x}{\\style{color:red}{y}}$",
        "| a |\n|:-:|\n| <svg/onload=alert(1)> |",
        "$x^{</math><script>alert(1)</script>}$",
    ],
)
def test_an_answer_runs_nothing_and_loads_nothing(text: str) -> None:
    seen = Seen()

    seen.feed(markdown.render(text))

    assert seen.tags <= markdown.TAGS
    assert seen.attributes <= {"class", "rel"}.union(*markdown.ATTRIBUTES.values())
    assert all(url.startswith("https://") for url in seen.urls)


class TestSocket:
    pytestmark = on_the_socket

    async def test_a_command_that_the_database_would_refuse_is_told(self, alice: Person) -> None:
        turn = await alice.begins()
        await generation.start(turn)
        await ended(turn.answer)

        async with alice.window(turn.conversation) as page:
            for model in ("x" * 5_000, "x\0", "x\n"):
                await page.command(
                    "send", text="Hi", model=model, client_request_id=str(uuid.uuid4())
                )
                assert (await page.event())[:2] == ["error", "invalid_request"]
            await page.raw('{"type": "stop", "x": ' + "[" * 100_000 + "]" * 100_000 + "}")
            assert (await page.event())[0] == "error"

    async def test_a_window_left_open_shows_nothing_after_signing_out(
        self, alice: Person, vendor: FakeVendor
    ) -> None:
        await vendor.aserve()
        turn = await alice.begins(model="test-model")
        await generation.start(turn)
        await ended(turn.answer)

        async with alice.window(turn.conversation) as page:
            await page.command("subscribe", message=str(turn.answer), cursor=0)
            await page.until("status")
            await sync_to_async(alice.browser.logout)()
            question = services.Question(text="Secret?", client_request_id=uuid.uuid4())
            following = await sync_to_async(services.send_message)(
                principal=alice.principal, conversation_id=turn.conversation, question=question
            )
            await generation.start(following)

            assert (await page.event())[:2] == ["error", "signed_out"]
            assert await page.event() == ["close", sockets.SIGNED_OUT]

    @pytest.mark.parametrize("change", [{"is_active": False}, {"password": "another"}])
    async def test_an_answer_stops_showing_to_who_may_no_longer_sign_in(
        self,
        alice: Person,
        vendor: FakeVendor,
        monkeypatch: pytest.MonkeyPatch,
        change: dict[str, object],
    ) -> None:
        monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.2)
        vendor.script(Answer(text="word " * 100_000, pause=0.02))
        await vendor.aserve()
        turn = await alice.begins(model="test-model")

        async with alice.window(turn.conversation) as page:
            await generation.start(turn)
            await page.command("subscribe", message=str(turn.answer), cursor=0)
            await page.until("delta")
            await User.objects.filter(pk=alice.user.pk).aupdate(**change)

            assert (await page.until("error"))[1] == "signed_out"
            assert await page.event() == ["close", sockets.SIGNED_OUT]
        assert (await Message.objects.aget(pk=turn.answer)).is_running
