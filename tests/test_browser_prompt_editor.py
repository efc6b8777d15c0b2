"""The page that writes a prompt in a browser, as somebody new on the staff uses it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Browser, Page, async_playwright, expect

from accounts.models import User
from prompts import services
from prompts.content import MessageTemplate, OutputSchema, PromptContent, Variable
from prompts.models import Prompt
from tests.axe import violations
from tests.servers import Site

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000  # milliseconds
SCHEMA = '{"type": "object", "properties": {"answer": {"type": "string"}}}'

expect.set_options(timeout=PATIENCE)


@dataclass
class Editor:
    """The page of somebody who may do everything, and what it complains of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def is_no_wider_than_the_screen(self) -> bool:
        widths = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        return bool(await self.page.evaluate(widths))


@pytest.fixture
def prompt(site: Site) -> Prompt:
    User.objects.create_superuser("ada", password="secret")
    return services.create_prompt(organization=site.organization, name="orders")


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
async def editor(browser: Browser, site: Site, prompt: Prompt) -> Editor:
    """The editor of a prompt without a version."""
    context = await browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.goto("/admin/")
    await page.fill("#id_username", "ada")
    await page.fill("#id_password", "secret")
    await page.click("[type=submit]")
    await expect(page.locator("#user-tools")).to_be_visible()
    opened = Editor(page)
    complaints = opened.complaints
    page.on("console", lambda line: complaints.extend([line.text] * (line.type == "error")))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"/admin/prompts/prompt/{prompt.pk}/versions/add/")
    return opened


async def test_somebody_writes_a_prompt_and_sees_what_comes_of_it(
    editor: Editor, prompt: Prompt
) -> None:
    page = editor.page
    messages = page.locator("[data-part=messages-l0]")
    preview = page.locator(".editor-preview")

    await messages.get_by_label("Text").fill("Be {{ tone }} to people who wait for orders.")
    tone = page.get_by_role("group", name="Variable tone")
    await expect(tone).to_be_visible()
    await tone.get_by_label("Type").select_option("choice")
    await tone.get_by_label("Options").fill("calm\nlively")
    await messages.get_by_role("button", name="Add a message").click()
    await expect(messages.get_by_label("Text")).to_have_count(2)
    await expect(messages.get_by_label("Text").last).to_be_focused()
    await page.keyboard.type("Where is order {{ number }}?")
    await expect(page.get_by_role("group", name="Variable number")).to_be_visible()

    await preview.get_by_label("tone").select_option("lively")
    await preview.get_by_label("number").fill("4711")
    await expect(preview.locator("pre")).to_have_text(
        ["Be lively to people who wait for orders.", "Where is order 4711?"]
    )
    await expect(preview.locator(".editor-figures")).to_contain_text("tokens")

    await page.get_by_role("button", name="Add a language").click()
    german = page.locator("[data-part=messages-l1]")
    await german.get_by_label("Language", exact=True).fill("de")
    await german.get_by_label("Text").fill("Sei {{ tone }} zu Menschen, die warten.")
    await expect(german.get_by_text("1 of 2 messages are written.")).to_be_visible()
    await preview.get_by_label("Language").select_option("de")
    await expect(preview.locator("pre")).to_have_text(["Sei lively zu Menschen, die warten."])

    await page.get_by_text("Answer as JSON").click()
    await page.get_by_label("JSON schema").fill(SCHEMA)
    await page.get_by_label("Note").fill("The first one")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Version 1 is saved.")).to_be_visible()

    saved = await sync_to_async(prompt.versions.get)()
    assert saved.content == PromptContent(
        messages=(
            MessageTemplate("system", "Be {{ tone }} to people who wait for orders."),
            MessageTemplate("user", "Where is order {{ number }}?"),
        ),
        variables=(Variable("tone", "choice", options=("calm", "lively")), Variable("number")),
        locales={"de": (MessageTemplate("system", "Sei {{ tone }} zu Menschen, die warten."),)},
        output_schema=OutputSchema(
            "answer", {"type": "object", "properties": {"answer": {"type": "string"}}}
        ),
    )
    assert editor.complaints == []


async def test_mistakes_are_marked_while_somebody_types_and_lead_to_their_line(
    editor: Editor,
) -> None:
    page = editor.page
    text = page.get_by_label("Text").first

    await text.fill("Hello.\n{% if %}")
    await expect(page.locator("#id_l0-m0-template_error")).to_contain_text("Line 2")
    await expect(text).to_be_focused()
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.locator(".editor-mistakes a").click()

    await expect(text).to_be_focused()
    chosen = (
        "[...document.querySelectorAll('textarea')].find(one => one === document.activeElement)"
    )
    assert await page.evaluate(f"{chosen}.value.slice({chosen}.selectionStart)") == "{% if %}"
    await text.fill("Hello {{ na }}.")
    await expect(page.get_by_role("group", name="Variable na")).to_be_visible()
    await text.fill("Hello {{ name }}.")
    await expect(page.get_by_role("group", name="Variable name")).to_be_visible()
    await expect(page.locator(".editor-variable")).to_have_count(1)
    await expect(page.locator(".editor-mistakes, .errorlist")).to_have_count(0)
    assert editor.complaints == []


async def test_nothing_typed_is_lost_and_samples_are_remembered(editor: Editor) -> None:
    page = editor.page
    asked: list[str] = []

    async def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        await dialog.dismiss() if len(asked) == 1 else await dialog.accept()

    page.on("dialog", stay)
    await page.get_by_label("Text").first.fill("Hello {{ name }}.")
    await page.locator("#id_sample-name").fill("Ada")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#result pre")).to_have_text("Hello Ada.")

    await page.get_by_role("link", name="Cancel").click(no_wait_after=True)
    await expect(page.locator("#result pre")).to_have_text("Hello Ada.")
    assert asked == ["beforeunload"]
    await page.reload()
    await page.get_by_label("Text").first.fill("Good day {{ name }}.")

    await expect(page.locator("#result pre")).to_have_text("Good day Ada.")
    assert editor.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_editor_is_for_everybody(editor: Editor, scheme: Any) -> None:
    page = editor.page
    await page.emulate_media(color_scheme=scheme)
    await page.get_by_label("Text").first.fill("{{ a }} {% if %}")
    await page.get_by_role("button", name="Add a language").click()
    await expect(page.locator("[data-part=messages-l1]")).to_be_visible()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor-mistakes")).to_be_visible()
    await page.get_by_label("Text").first.fill("{{ a }}")
    await expect(page.get_by_role("group", name="Variable a")).to_be_visible()

    assert await violations(page, within="#content") == []
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await editor.is_no_wider_than_the_screen()
    assert editor.complaints == []
