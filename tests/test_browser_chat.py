"""The chat in a real browser: ask, watch, reload, a second tab, stop, a budget that refuses."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from playwright.async_api import (
    BrowserContext,
    Locator,
    Page,
    WebSocketRoute,
    async_playwright,
    expect,
)

from billing.models import Budget
from chat.models import Message
from core.cached import MAX_AGE
from tests.servers import Site
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000  # milliseconds
ANSWER = (
    "## Four\n\n" + "Two and two are **four**, as `2 + 2` says. " * 12 + "\n\n- one\n- two"
) * 2


expect.set_options(timeout=PATIENCE)


@pytest.fixture
def gate() -> Gate:
    """Opened by a test that wants the vendor to go on behind the middle of its answer."""
    return Gate()


@pytest.fixture
def slow(site: Site, vendor: FakeVendor, gate: Gate) -> FakeVendor:
    """A vendor that takes its time."""
    vendor.script(Answer(text=ANSWER, pause=0.005, gate=gate, gate_after=100))
    vendor.serve("slow-model")
    time.sleep(MAX_AGE)  # until the server has heard of it
    return vendor


@pytest.fixture
async def person(site: Site, slow: FakeVendor, chromium: str) -> AsyncIterator[BrowserContext]:
    """A browser in which the demo's user has signed in; a complaint of the page is a failure."""
    problems: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE)
        context.on("console", lambda line: problems.extend([line.text] * (line.type == "error")))
        context.on("weberror", lambda error: problems.append(str(error.error)))
        await sign_in(await context.new_page(), site)
        yield context
        await browser.close()
    assert problems == []


async def test_an_answer_streams_and_survives_reloads(person: BrowserContext, gate: Gate) -> None:
    page = await begin(person)
    for _ in range(3):
        await page.reload()
    gate.open()
    await page.reload()

    await expect(answer(page)).to_have_attribute("data-status", "complete")
    streamed = await answer(page).locator(".prose").inner_html()
    await page.reload()

    assert await answer(page).locator(".prose").inner_html() == streamed
    assert await answer(page).locator("strong").count() == 24
    await expect(answer(page).locator(".answer-foot")).to_contain_text("$")


async def test_words_appear_while_the_model_writes(person: BrowserContext) -> None:
    page = await begin(person)

    await expect(answer(page)).to_contain_text("Two and two")

    await expect(answer(page)).to_have_attribute("data-status", "running")
    await expect(page.get_by_role("status").last).to_have_text("An answer is being written.")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()


async def test_a_second_tab_shows_the_same_and_what_comes_next(
    person: BrowserContext, gate: Gate
) -> None:
    first = await begin(person)
    second = await person.new_page()
    await second.goto(first.url)
    gate.open()
    for page in (first, second):
        await expect(answer(page)).to_have_attribute("data-status", "complete")

    await first.get_by_label("Your question").fill("And three?")
    await first.keyboard.press("Enter")

    for page in (first, second):
        await expect(page.get_by_text("And three?")).to_be_visible()
        await expect(page.locator(".answer")).to_have_count(2)
        await expect(answer(page)).to_have_attribute("data-status", "complete")
    contents = {await page.locator("#transcript").inner_text() for page in (first, second)}
    assert len(contents) == 1
    await expect(first.get_by_label("Your question")).to_have_value("")


async def test_stop_ends_the_answer_and_keeps_what_was_written(person: BrowserContext) -> None:
    page = await begin(person)
    await expect(answer(page)).to_contain_text("Two and two")

    await page.get_by_role("button", name="Stop").click()

    await expect(answer(page)).to_have_attribute("data-status", "stopped")
    await expect(answer(page)).to_contain_text("You stopped this answer.")
    message = await Message.objects.aget(role="assistant")
    assert 0 < len(message.text) < len(ANSWER)


async def test_a_budget_without_room_is_shown(person: BrowserContext) -> None:
    await Budget.objects.filter(name="Demo monthly").aupdate(limit_usd=Decimal("0.000001"))

    page = await begin(person)

    await expect(answer(page)).to_have_attribute("data-status", "limited")
    await expect(answer(page).locator(".answer-notice")).to_contain_text("Demo monthly")


async def test_a_lost_connection_comes_back_by_itself(person: BrowserContext, gate: Gate) -> None:
    sockets: list[WebSocketRoute] = []
    may_connect = asyncio.Event()
    may_connect.set()

    async def pass_on(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        await may_connect.wait()
        socket.connect_to_server()

    await person.route_web_socket("**/ws/**", pass_on)
    page = await begin(person)
    await expect(answer(page)).to_contain_text("Two and two")

    may_connect.clear()
    await sockets[0].close(code=1001)

    await expect(page.locator("#status")).to_have_text("The connection is lost; trying again …")
    may_connect.set()
    gate.open()

    await expect(answer(page)).to_have_attribute("data-status", "complete")
    assert await answer(page).locator("strong").count() == 24
    assert len(sockets) == 2


async def test_without_a_script_the_form_does_the_same(
    site: Site, slow: FakeVendor, gate: Gate, chromium: str
) -> None:
    gate.open()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await sign_in(page, site)
        await page.get_by_label("Your question").fill("Two and two?")
        await page.get_by_label("Model").select_option("slow-model")
        await page.get_by_role("button", name="Ask").click()

        await expect(answer(page).locator("strong")).to_have_count(24)
        await expect(page.get_by_role("button", name="Send")).to_be_visible()
        await browser.close()


async def begin(person: BrowserContext) -> Page:
    """Ask the slow model, and return the page of the new conversation."""
    page = person.pages[0]
    await page.get_by_label("Your question").fill("Two and two?")
    await page.get_by_label("Model").select_option("slow-model")
    await page.get_by_label("Your question").press("Enter")
    await page.wait_for_url(re.compile("/chat/"))
    return page


def answer(page: Page) -> Locator:
    return page.locator(".answer").last


async def sign_in(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await page.get_by_label("Username").fill(site.user.username)
    await page.get_by_label("Password").fill(site.user.password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_selector("#composer")
    await page.wait_for_load_state()  # then the script hears the Enter key
