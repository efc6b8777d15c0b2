"""Staff run an experiment in a real browser: plan, start, read the verdict, promote."""

from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client
from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright, expect

from accounts.models import User
from prompts.models import Experiment, Prompt, PromptLabel
from tests.axe import violations
from tests.experiments_support import begun_earlier, make_prompt
from tests.experiments_usage import Calls, spread
from tests.servers import Site

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000  # milliseconds
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)

expect.set_options(timeout=PATIENCE)


@pytest.fixture
async def prompt(site: Site) -> Prompt:
    return await sync_to_async(make_prompt)(site.organization)


@pytest.fixture
async def staff(site: Site, prompt: Prompt, chromium: str) -> AsyncIterator[BrowserContext]:
    """A browser in which staff have signed in; a complaint of the page is a failure."""
    problems: list[str] = []
    session = await sync_to_async(session_of)(site.staff.username)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = await browser.new_context(viewport=DESKTOP, base_url=site.url)
        context.set_default_timeout(PATIENCE)
        await context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}]
        )
        context.on("console", lambda line: problems.extend([line.text] * (line.type == "error")))
        context.on("weberror", lambda error: problems.append(str(error.error)))
        yield context
        await browser.close()
    assert problems == []


def session_of(username: str) -> str:
    client = Client()
    client.force_login(User.objects.get(username=username))
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


async def test_staff_run_an_experiment_without_code(staff: BrowserContext, prompt: Prompt) -> None:
    page = await staff.new_page()
    await page.goto("/admin/prompts/experiment/")
    await page.get_by_role("link", name="Add experiment").first.click()
    await page.get_by_label("Which prompt?").select_option(str(prompt.pk))
    await page.get_by_role("button", name="Go on").click()

    await (
        page.get_by_label("Name:").or_(page.get_by_label("Name", exact=True)).first.fill("brevity")
    )
    await page.get_by_label("Hypothesis").fill("B is cheaper.")
    await page.get_by_role("button", name="Save the draft").click()
    await expect(page.get_by_text("The draft is saved.")).to_be_visible()
    await looks_right(page, "draft")
    await page.get_by_text("Start …").click()
    await page.get_by_role("button", name="Start it now").click()
    await expect(page.get_by_text("Nobody has been counted yet")).to_be_visible()
    await looks_right(page, "empty")

    await sync_to_async(let_people_come)()
    await page.reload()
    await expect(page.get_by_text("B costs")).to_be_visible()
    await expect(page.get_by_text("certainly better").first).to_be_visible()
    await looks_right(page, "results")

    await page.get_by_text("Promote B …").click()
    await page.get_by_role("button", name="Promote B").click()
    await expect(page.get_by_text("“production” has the version of arm B.")).to_be_visible()
    await expect(page.get_by_text("Arm B was promoted.")).to_be_visible()
    label = await PromptLabel.objects.select_related("version").aget(prompt=prompt)
    assert label.version.number == 2
    await page.goto("/admin/prompts/experiment/")
    await expect(page.get_by_text("B costs")).to_be_visible()
    await looks_right(page, "list", within="#result_list tbody")


def let_people_come() -> None:
    experiment = begun_earlier(Experiment.objects.get(name="brevity"), hours=1)
    spread(Calls(experiment), 120)


async def looks_right(page: Page, name: str, *, within: str = ".experiment") -> None:
    """Hold the page against axe, in both themes, and at the width of a phone."""
    for theme, size in (("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)):
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        await page.set_viewport_size(size)
        assert await violations(page, within=within) == [], f"{name}, {theme}, {size['width']}"
        widest = await page.evaluate("document.documentElement.scrollWidth")
        assert widest <= size["width"], f"{name} at {size['width']}"
    await page.set_viewport_size(DESKTOP)
    await page.emulate_media(color_scheme="light")
