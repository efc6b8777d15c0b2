"""What all of the REST API answers alike: where there is nothing, where something broke."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from accounts.models import Organization
from prompts import services
from prompts.content import MessageTemplate, PromptContent
from prompts.models import Prompt
from prompts.releases import services as releases
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(acme: Organization) -> Person:
    return Person("ada", acme)


@pytest.mark.parametrize("path", ["/api/", "/api/nothing/", "/api/prompts/a%20b/", "/api/keys/x/"])
def test_where_there_is_nothing_a_program_reads_json(ada: Person, path: str) -> None:
    response = ada.browser.get(path)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_where_there_is_nothing_a_person_reads_a_page(ada: Person) -> None:
    response = ada.browser.get("/nothing/")

    assert response.status_code == 404
    assert "Page not found" in response.content.decode()


def test_an_address_without_its_slash_leads_on(ada: Person) -> None:
    assert ada.browser.get("/api/keys").status_code == 301


def test_what_broke_is_told_in_the_same_shape(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(type(Prompt.objects.all()), "visible_to", broken)
    ada.browser.raise_request_exception = False

    response = ada.browser.get("/api/prompts/")

    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.content.decode()


def test_while_the_database_is_away_a_program_is_told_when_to_come_again(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("could not connect to a host of ours")

    monkeypatch.setattr(type(Prompt.objects.all()), "visible_to", away)
    ada.browser.raise_request_exception = False

    response = ada.browser.get("/api/prompts/")

    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert response.json()["error"]["code"] == "service_unavailable"
    assert "host" not in response.content.decode()


@pytest.mark.parametrize("size", ["0", "-1", "x", "", "null", "1.5", "9" * 5000])
def test_a_page_has_a_length(ada: Person, size: str) -> None:
    response = ada.browser.get("/api/prompts/", {"page_size": size})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "page_size"


def test_a_page_is_not_longer_than_there_is_room_for(ada: Person) -> None:
    assert ada.browser.get("/api/prompts/?page_size=100000").status_code == 200


def test_a_browser_looks_around(ada: Person) -> None:
    html = {"Accept": "text/html"}

    page = ada.browser.get("/api/prompts/", headers=html)
    refused = Client().get("/api/prompts/", headers=html)

    assert (page.status_code, refused.status_code) == (200, 401)
    assert page["Content-Type"].startswith("text/html")
    assert "Parley: the API" in page.content.decode()


@pytest.mark.parametrize("path", ["keys", "budgets", "conversations", "prompts/hers/versions"])
def test_pages_to_look_around_have_nothing_that_our_policy_refuses(ada: Person, path: str) -> None:
    services.create_prompt(organization=ada.organization, name="hers")
    ada.user.is_staff = ada.user.is_superuser = True
    ada.user.save()

    page = ada.browser.get(f"/api/{path}/", headers={"Accept": "text/html"}).content.decode()

    assert "css/api" in page
    for inline in ("<script>", "<style", " style=", " onclick="):
        assert inline not in page


@pytest.mark.parametrize(
    "body",
    [
        b'{"variables": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"variables": {"\\ud800": "\\udc00"}}',
        b'{"variables": {"a": ' + b"1" * 10_000 + b"}}",
    ],
)
def test_what_no_json_should_have_is_refused(ada: Person, body: bytes) -> None:
    prompt = services.create_prompt(organization=ada.organization, name="hers")
    content = PromptContent(messages=(MessageTemplate("system", "Be kind."),))
    services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=1)
    ada.browser.raise_request_exception = False

    response = ada.browser.post("/api/prompts/hers/render/", body, content_type="application/json")

    assert response.status_code == 400


@pytest.mark.parametrize("value", ["null", "perhaps", "2"])
def test_a_filter_by_true_or_false_takes_nothing_else(ada: Person, value: str) -> None:
    response = ada.browser.get("/api/keys/", {"is_revoked": value})

    assert response.status_code == 400
    assert "is_revoked" in response.json()["error"]["fields"]
    for taken in ("true", "False", ""):
        assert ada.browser.get("/api/keys/", {"is_revoked": taken}).status_code == 200
