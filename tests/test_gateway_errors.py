"""What the API answers where it does not: every code stands in its documentation."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from core.errors import AppError

PACKAGES = ("core", "accounts", "billing", "llm", "prompts", "gateway")
# What pages, the admin, commands or our own code may meet, and no program over `/v1`.
ELSEWHERE = {
    *("billing.retention", "billing.corrections", "billing.prices", "billing.currency"),
    *("llm.tools.run", "llm.structured"),
    *("prompts.experiments", "prompts.feedback", "prompts.releases", "prompts.testing"),
    *("accounts.sockets", "prompts.files", "prompts.playground"),
}
NOT_RAISED = {"PromptExists", "PromptContentInvalid"}  # by calls: they are about saving
ROW = re.compile(r"\| (\d{3}) \| (`.*?) \| ")


def modules() -> Iterator[str]:
    for package in PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if "migrations" not in module.name and "management" not in module.name:
                yield module.name


def errors(base: type[AppError] = AppError) -> Iterator[type[AppError]]:
    for error in base.__subclasses__():
        yield error
        yield from errors(error)


def reachable() -> set[tuple[int, str]]:
    """Return status and code of every error that a call over `/v1` can meet."""
    for name in modules():
        importlib.import_module(name)
    return {
        (int(error.http_status), error.code)
        for error in errors()
        if error.__module__.startswith(PACKAGES)
        and not error.__module__.startswith(tuple(ELSEWHERE))
        and error.__name__ not in NOT_RAISED
    }


def documented() -> set[tuple[int, str]]:
    page = Path(settings.BASE_DIR, "docs", "api.md").read_text()
    rows = map(ROW.match, page.splitlines())
    return {(int(row[1]), code) for row in rows if row for code in re.findall(r"`(\w+)`", row[2])}


def test_every_error_is_documented_with_its_status() -> None:
    assert reachable() - documented() == set()


def test_nothing_is_documented_that_does_not_exist() -> None:
    assert documented() - reachable() == set()


@pytest.mark.parametrize("code", ["error", ""])
def test_no_error_is_without_a_name_of_its_own(code: str) -> None:
    assert code not in {name for _, name in reachable()}
