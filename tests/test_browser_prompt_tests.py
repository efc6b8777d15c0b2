"""Staff test a prompt in a real browser: cases, a run with its estimate, results, differences."""

from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client
from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright, expect

from accounts.models import User
from gateway.batches.thread import BatchThread
from prompts.models import Case, Dataset, DatasetRun, Prompt, RunState
from prompts.testing import running
from tests.axe import violations
from tests.servers import Site
from tests.testing_support import make_prompt

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


@pytest.fixture
async def worker(site: Site) -> AsyncIterator[None]:
    """The worker's thread that does runs."""
    thread = BatchThread(running.work)
    yield
    await sync_to_async(thread.stop)()


async def test_staff_test_a_prompt_without_code(
    staff: BrowserContext, prompt: Prompt, worker: None
) -> None:
    page = await staff.new_page()
    dataset = await Dataset.objects.acreate(prompt=prompt, name="smoke", guards_releases=True)
    await page.goto(f"/admin/prompts/dataset/{dataset.pk}/change/")
    await looks_right(page, "empty")
    await page.get_by_role("link", name="Add a case").click()
    await write_case(page, "Ada", "demo")
    await page.get_by_role("button", name="Save and add another").click()
    await write_case(page, "Bo", "no such word")
    await looks_right(page, "case")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("cell", name="name: Bo")).to_be_visible()
    await looks_right(page, "dataset")

    await page.get_by_role("link", name="Start a run").click()
    await page.get_by_label("1 · production").check()
    await page.get_by_label("demo-small").check()
    await page.get_by_role("button", name="Estimate the cost").click()
    await expect(page.get_by_text("4 answers, for about $")).to_be_visible()
    await looks_right(page, "estimate", is_coloured=True)
    await page.get_by_role("button", name="Start the run").click()
    # The page keeps itself up to date.
    await expect(page.get_by_text("Done", exact=True)).to_be_visible()
    await expect(page.get_by_text("50.0%")).to_have_count(2)
    await page.get_by_text("Answer to Ada, version 1").click()
    await expect(page.locator(".test-answer[open] .prompt-text")).to_contain_text("demo")
    await looks_right(page, "run", is_coloured=True)
    run = await DatasetRun.objects.aget()
    assert run.state == RunState.DONE
    assert 0 < run.spent_usd <= run.cap_usd

    await Case.objects.filter(name="Ada").aupdate(checks=[{"kind": "equals", "text": "Hi"}])
    await page.goto(f"/admin/prompts/datasetrun/add/?dataset={dataset.pk}")
    await page.get_by_label("demo-small").check()
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.get_by_text("Newly failing: 1")).to_be_visible()
    await looks_right(page, "differences")
    await page.goto("/admin/prompts/datasetrun/")
    await looks_right(page, "list", within="#result_list tbody")


async def write_case(page: Page, name: str, contains: str) -> None:
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("name", exact=True).last.fill(name)
    check = page.get_by_role("group", name="Check 1")
    await expect(check.get_by_label("Model that is asked")).to_be_hidden()
    await check.get_by_label("Kind").select_option("contains")
    await check.get_by_label("The text").fill(contains)


async def test_without_scripts_a_run_is_looked_at_all_the_same(
    staff: BrowserContext, site: Site, prompt: Prompt
) -> None:
    dataset = await Dataset.objects.acreate(prompt=prompt, name="smoke")
    run = await DatasetRun.objects.acreate(
        dataset=dataset, versions=[1], model_names=["demo-small"], cap_usd=1
    )
    browser = staff.browser
    assert browser is not None
    plain = await browser.new_context(
        java_script_enabled=False, base_url=site.url, storage_state=await staff.storage_state()
    )
    page = await plain.new_page()
    await page.goto(f"/admin/prompts/datasetrun/{run.pk}/change/")

    await expect(page.get_by_text("It waits for the worker")).to_be_visible()
    await expect(page.get_by_role("link", name="Load the page again")).to_be_visible()
    await page.get_by_role("button", name="Cancel the run").click()
    await expect(page.get_by_text("The run is cancelled.")).to_be_visible()
    await plain.close()


async def looks_right(
    page: Page, name: str, *, within: str = ".tests", is_coloured: bool = False
) -> None:
    """Hold the page against axe, where it has colours of its own in the dark, too; and a phone."""
    for theme in ("light", "dark") if is_coloured else ("light",):
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        assert await violations(page, within=within) == [], f"{name}, {theme}"
    await page.set_viewport_size(PHONE)
    widest = await page.evaluate("document.documentElement.scrollWidth")
    assert widest <= PHONE["width"], name
    await page.set_viewport_size(DESKTOP)
    await page.emulate_media(color_scheme="light")
