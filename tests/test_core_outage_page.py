"""PostgreSQL being away, as pages and REST addresses tell it to who asks."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Organization
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)

NOWHERE = "00000000-0000-0000-0000-000000000000"
PAGES = [
    "/",
    f"/chat/{NOWHERE}/",
    "/nothing/",
    "/usage/",
    "/keys/",
    "/docs",
    "/admin/",
    "/admin/accounts/user/",
]


@pytest.fixture
def staff(acme: Organization) -> Person:
    person = Person("ada", acme)
    person.user.is_staff = person.user.is_superuser = True
    person.user.save()
    return person


@pytest.fixture
def no_database(
    staff: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[pytest.MonkeyPatch]:
    """Let nobody answer where PostgreSQL was, until the test undoes it."""
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", str(tmp_path))
        patch.setitem(connection.settings_dict, "OPTIONS", {})  # no pool that waits
        yield patch
        connection.close()


def told(response: Any) -> str:
    """Return the text of a page that says 503 and when to come again."""
    assert response.status_code == 503
    assert response["Retry-After"] == "2"
    text: str = response.content.decode()
    return text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_to_try_again(path: str, staff: Person, no_database: object) -> None:
    response = staff.browser.get(path)

    page = told(response)
    assert "<h1>Try again in a moment</h1>" in page
    assert "css/parley" in page
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert "Traceback" not in page
    assert "OperationalError" not in page


@pytest.mark.parametrize("path", ["/accounts/sign-in/", "/admin/login/"])
def test_a_form_says_that_it_may_not_be_saved(path: str, no_database: object) -> None:
    response = Client().post(path, {"username": "ada", "password": "secret"})

    assert "What you sent may not be saved" in told(response)


def test_a_form_without_its_token_says_so_too(staff: Person, no_database: object) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = staff.browser.cookies

    response = browser.post("/keys/", {"name": "mine"})

    assert "What you sent may not be saved" in told(response)


def test_a_program_reads_json(staff: Person, no_database: object) -> None:
    response = staff.browser.get("/api/usage/")

    assert '"service_unavailable"' in told(response)


def test_whoever_looks_around_the_api_reads_json_too(staff: Person, no_database: object) -> None:
    response = staff.browser.get("/api/usage/", headers={"Accept": "text/html"})

    assert '"service_unavailable"' in told(response)


def test_one_line_without_a_traceback_is_logged(
    staff: Person, no_database: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        staff.browser.get("/usage/")

    assert [record.getMessage() for record in caplog.records] == ["Service Unavailable: /usage/"]
    assert [record.exc_info for record in caplog.records] == [None]


def test_the_page_is_back_with_the_database(staff: Person, no_database: pytest.MonkeyPatch) -> None:
    told(staff.browser.get("/usage/"))
    no_database.undo()

    assert staff.browser.get("/usage/").status_code == 200
