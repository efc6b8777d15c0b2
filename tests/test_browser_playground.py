"""The playground in a browser, as a member of staff uses it: compare, stop, keep as a case."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from accounts.models import Membership, User
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Case, Prompt
from tests.axe import violations
from tests.servers import Site

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000  # milliseconds
ADDRESS = re.compile("/playground/")

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def prompt(site: Site) -> Prompt:
    """A prompt with three versions, the last of which takes one variable more."""
    made = services.create_prompt(organization=site.organization, name="orders")
    name, tone = Variable("name"), Variable("tone", type="choice", options=("warm", "dry"))
    for text, variables in (
        ("Be kind to {{ name }}.", (name,)),
        ("Be brief with {{ name }}.", (name,)),
        ("Be {{ tone }} with {{ name }}.", (name, tone)),
    ):
        content = PromptContent(messages=(MessageTemplate("system", text),), variables=variables)
        services.add_version(prompt=made, content=content)
    ada = User.objects.create_superuser("ada", password="secret")
    Membership.objects.create(user=ada, organization=site.organization)
    return made


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the page complains of."""
    return []


@pytest.fixture
async def page(
    browser: Browser, site: Site, prompt: Prompt, complaints: list[str]
) -> AsyncIterator[Page]:
    """The playground of the prompt, with versions 1 and 2."""
    async with await opened(browser, site, prompt) as page:
        page.on("console", lambda line: complaints.extend([line.text] * (line.type == "error")))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page


async def opened(browser: Browser, site: Site, prompt: Prompt, **options: Any) -> Page:
    context = await browser.new_context(
        base_url=site.url, viewport={"width": 1280, "height": 900}, **options
    )
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.goto("/admin/")
    await page.fill("#id_username", "ada")
    await page.fill("#id_password", "secret")
    await page.click("[type=submit]")
    await expect(page.locator("#user-tools")).to_be_visible()
    await page.goto(f"/admin/prompts/prompt/{prompt.pk}/playground/?version=1&version=2")
    return page


async def test_two_versions_answer_and_one_becomes_a_case(
    page: Page, prompt: Prompt, complaints: list[str]
) -> None:
    answers = page.locator(".playground-answer")
    await page.get_by_label("name", exact=True).fill("Ada")
    await page.get_by_label("Message", exact=True).first.fill("Where is my order?")
    await expect(page.locator("#playground-estimate")).to_contain_text("at most $")
    await page.get_by_role("button", name="Run").click()
    await page.get_by_role("button", name="Stop column 2").click()
    await expect(answers.nth(1)).to_contain_text("Stopped")
    await expect(answers.nth(0)).to_contain_text("Done")
    await expect(page.locator("[data-total]")).to_contain_text("Together:")
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )

    await answers.nth(0).get_by_role("button", name="Expect this answer").click()
    await page.get_by_role("button", name="Save the case").click()
    await expect(page.locator("#playground-case")).to_contain_text("is saved in the dataset")

    case = await Case.objects.select_related("dataset").aget()
    assert case.variables == {"name": "Ada"}
    assert case.checks[0]["kind"] == "contains"
    assert case.messages == [{"role": "user", "content": "Where is my order?"}]
    assert complaints == []


async def test_another_version_brings_its_variables_and_mistakes_are_marked(page: Page) -> None:
    late = asyncio.Event()

    async def hold_the_first(route: Route) -> None:
        await late.wait()
        await route.continue_()

    await page.route(ADDRESS, hold_the_first, times=1)
    await page.get_by_role("button", name="Add a column").click()
    await page.get_by_label("Version").nth(2).select_option("3")
    tone = page.get_by_label("tone", exact=True)
    await expect(tone).to_be_visible()
    async with page.expect_response(ADDRESS):
        late.set()
    await page.get_by_role("button", name="Run").click()

    await expect(page.locator("#playground-problem")).to_contain_text("tone: This needs a value.")
    await expect(tone).to_be_focused()


async def test_without_a_script_the_page_is_sent_with_all_answers(
    browser: Browser, site: Site, prompt: Prompt
) -> None:
    page = await opened(browser, site, prompt, java_script_enabled=False)
    await page.get_by_label("name", exact=True).fill("Ada")
    await page.get_by_label("Message", exact=True).first.fill("Hello")
    await page.get_by_role("button", name="Run").click()

    await expect(page.locator(".playground-answer")).to_have_count(2)
    await expect(page.locator(".playground-answer").first).to_contain_text("Done")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_playground_is_for_everybody(page: Page, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.get_by_label("name", exact=True).fill("Ada")
    await page.get_by_role("button", name="Run").click()
    await expect(page.locator("[data-total]")).to_contain_text("Together:")
    await page.locator("#playground-case summary").click()

    assert await violations(page, within="#content") == []
