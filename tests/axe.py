"""What axe-core finds wrong with a page for people who see, hear or move otherwise."""

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.async_api import Page

# What WCAG 2.2 asks for at level AA, and what axe's authors hold good beyond.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page, *, within: str = "") -> list[str]:
    """Return what is wrong in a line each: the rule, and where; `within` is a CSS selector."""
    options = {
        "resultTypes": ["violations"],
        "runOnly": {"type": "tag", "values": RULES},
        "preload": False,  # of style sheets: it would put in styles that our policy refuses
    }
    found = await Axe().run(page, context=within or None, options=options)
    return [
        f"{rule['id']}: {node['html']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]
