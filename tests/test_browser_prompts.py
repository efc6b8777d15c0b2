"""A release in a browser, as two of the staff make it: compare, propose, confirm, roll back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Browser, Page, async_playwright, expect

from accounts.models import User
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import LabelRule, Prompt
from prompts.releases import services as releases
from tests.axe import violations
from tests.servers import Site

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000  # milliseconds
FIRST = "You help people with their orders.\n\nBe kind to {{ name }}.\n- Answer in one sentence."
SECOND = (
    "You help people with their orders.\n\nBe brief with {{ name }}.\n- Answer in two sentences."
)

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def prompt(site: Site) -> Prompt:
    """A prompt with two versions; the first is in production, which needs a second person."""
    made = services.create_prompt(organization=site.organization, name="orders")
    for text, note in ((FIRST, "The first version."), (SECOND, "Longer answers")):
        content = PromptContent(
            messages=(MessageTemplate("system", text),), variables=(Variable("name"),)
        )
        services.add_version(prompt=made, content=content, note=note)
    releases.move_label(prompt=made, number=1)
    releases.move_label(prompt=made, number=2, name="staging")
    LabelRule.objects.create(organization=site.organization, needs_second_person=True)
    return made


@pytest.fixture
def staff(site: Site) -> tuple[str, str]:
    """Two of the staff."""
    for name in ("ada", "bo"):
        User.objects.create_superuser(name, password="secret")
    return "ada", "bo"


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        await launched.close()


async def signed_in(browser: Browser, site: Site, name: str, width: int = 1280) -> Page:
    """Return a page of a person of the staff."""
    context = await browser.new_context(base_url=site.url, viewport={"width": width, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.goto("/admin/")
    await page.fill("#id_username", name)
    await page.fill("#id_password", "secret")
    await page.click("[type=submit]")
    await expect(page.locator("#user-tools")).to_be_visible()
    return page


def complaints(page: Page) -> list[str]:
    """Return where the page's complaints will be."""
    found: list[str] = []
    page.on("console", lambda line: found.extend([line.text] * (line.type == "error")))
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


async def no_wider_than_the_screen(page: Page) -> bool:
    return bool(
        await page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


async def test_two_people_release_a_version_and_one_takes_it_back(
    browser: Browser, site: Site, prompt: Prompt, staff: tuple[str, str]
) -> None:
    ada = await signed_in(browser, site, "ada")
    found = complaints(ada)
    await ada.goto(f"/admin/prompts/prompt/{prompt.pk}/change/")
    await ada.get_by_role("link", name="Make version 2 production").click()
    await ada.get_by_role("link", name="See what changes").click()
    await expect(ada.locator("del")).to_have_text(["[removed: kind to]", "[removed: one sentence]"])
    await ada.go_back()
    await ada.get_by_label("Why").fill("Longer answers")
    await ada.get_by_role("button", name="Propose the move").click()
    await expect(ada.get_by_text("Somebody else has to confirm it.")).to_be_visible()

    bo = await signed_in(browser, site, "bo", width=390)
    await bo.goto(f"/admin/prompts/prompt/{prompt.pk}/change/")
    assert await no_wider_than_the_screen(bo)
    await bo.get_by_role("button", name="Confirm the move of production").click()
    await expect(bo.get_by_text("Version 2 is now “production”.")).to_be_visible()
    await bo.goto(f"/admin/prompts/prompt/{prompt.pk}/diff/?from=1&to=2")
    assert await no_wider_than_the_screen(bo)

    await ada.reload()
    await ada.get_by_role("button", name="Roll production back to version 1").click()
    await expect(ada.get_by_text("Version 1 is now “production”.")).to_be_visible()
    await ada.get_by_role("link", name="Moves").click()
    await expect(ada.get_by_text("Rollback from version 2.")).to_be_visible()
    assert found == []
    label = await sync_to_async(prompt.labels.select_related("version").get)(name="production")
    assert label.version.number == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_of_a_release_are_for_everybody(
    browser: Browser, site: Site, prompt: Prompt, staff: tuple[str, str], scheme: Any
) -> None:
    ada = await User.objects.aget(username="ada")
    await sync_to_async(releases.propose_move)(prompt=prompt, number=2, by=ada)
    page = await signed_in(browser, site, "bo")
    await page.emulate_media(color_scheme=scheme)

    for address in ("change/", "diff/", "moves/", "labels/?number=2"):
        await page.goto(f"/admin/prompts/prompt/{prompt.pk}/{address}")

        assert await violations(page, within="#content") == [], address
