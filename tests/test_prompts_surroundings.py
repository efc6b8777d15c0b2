"""A prompt knows the moment, the language and who asks, where it wants to."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Organization
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.errors import PromptVariablesInvalid

MOMENT = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)


@pytest.fixture
def organization(db: None, monkeypatch: pytest.MonkeyPatch) -> Organization:
    monkeypatch.setattr(timezone, "now", lambda: MOMENT)
    return Organization.objects.create(name="Acme & Sons", slug="acme")


def words(organization: Organization, template: str, *variables: Variable, **more: Any) -> str:
    content = PromptContent(
        messages=(MessageTemplate(role="system", template=template),),
        variables=variables,
        locales={"de": (MessageTemplate(role="system", template=template),)},
    )
    rendered = services.preview(organization_id=organization.pk, content=content, **more)
    return str(rendered.messages[0].content)


@pytest.mark.parametrize(
    ("name", "locale", "text"),
    [
        ("today", "", "2026-11-21"),
        ("time", "", "14:05 UTC"),
        ("date", "", "Saturday, Nov. 21, 2026"),
        ("date", "de-at", "Samstag, 21. November 2026"),
        ("date", "xx", "Saturday, Nov. 21, 2026"),
        ("date", "no such", "Saturday, Nov. 21, 2026"),
        ("locale", "", "en"),
        ("locale", "de-at", "de-AT"),
        ("locale", "no such", "en"),
        ("organization", "", "Acme & Sons"),
    ],
)
def test_what_is_known_is_given_to_who_declares_it(
    organization: Organization, name: str, locale: str, text: str
) -> None:
    template = f"{{{{ {name} }}}}"

    assert words(organization, template, Variable(name=name), locale=locale) == text
    own = {name: "of the caller's own"}
    said = words(organization, template, Variable(name=name), locale=locale, variables=own)
    assert said == own[name]


def test_the_callers_context_is_taken_where_it_is_declared(organization: Organization) -> None:
    context = {"user_name": "Ada", "other": "unused"}

    said = words(organization, "{{ user_name }}", Variable(name="user_name"), context=context)

    assert said == "Ada"


def test_what_is_not_a_text_there_is_left_to_the_caller(organization: Organization) -> None:
    with pytest.raises(PromptVariablesInvalid, match="missing today"):
        words(organization, "{{ today }}", Variable(name="today", type="list"))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ x|bullets }}", '- a\n- two\n  lines\n- 3\n- {"b": 1}'),
        ("{{ x|numbered }}", '1. a\n2. two\n   lines\n3. 3\n4. {"b": 1}'),
        ("{{ x|slice:':2'|join:', ' }}", "a, two\nlines"),
    ],
)
def test_lists_are_written_as_lists(organization: Organization, template: str, text: str) -> None:
    values = {"x": ["a", "two\nlines", 3, {"b": 1}]}

    said = words(organization, template, Variable(name="x", type="list"), variables=values)

    assert said == text
