"""Staff write rules, try them, and read what was decided."""

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization, User
from llm.models import GuardrailDecision, GuardrailRule, Route
from tests.guardrails_support import add_rule

pytestmark = pytest.mark.django_db

MAIL = "ada@example.com"


@pytest.fixture(autouse=True)
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:llm_{name}", args=args)


def filled(**more: Any) -> dict[str, Any]:
    """Return what the browser sends for a rule."""
    form = {
        **{"name": "No mail", "check_name": "pii", "action": "redact", "direction": "both"},
        **{"organization": "", "prompt_name": "", "surface": "", "position": "0"},
        **{"is_active": "on", "region": "", "threshold": "", "words": "", "patterns": ""},
        "model": "",
    }
    return {**form, **more}


def text_of(response: Any) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", response.content.decode()))


def test_a_rule_keeps_the_settings_of_its_own_check(client: Client) -> None:
    sent = filled(kinds=["email", "jwt"], region="de", threshold="0.5", words="zeus")

    response = client.post(page("guardrailrule_add"), sent)

    assert response.status_code == 302
    rule = GuardrailRule.objects.get()
    assert rule.settings == {"kinds": ["email"], "region": "DE"}
    shown = client.get(page("guardrailrule_change", rule.pk)).content.decode()
    assert re.search(r'value="email"[^>]*checked', shown)
    assert not re.search(r'value="card"[^>]*checked', shown)


def test_words_and_patterns_are_kept_line_by_line(client: Client) -> None:
    sent = filled(check_name="words", words="Zeus\n\n hera \nZeus", patterns=r"PRJ-\d{4}")

    client.post(page("guardrailrule_add"), sent)

    rule = GuardrailRule.objects.get()
    assert rule.settings == {"words": ["Zeus", "hera"], "patterns": [r"PRJ-\d{4}"]}
    assert "Zeus\nhera" in client.get(page("guardrailrule_change", rule.pk)).content.decode()


def test_moderation_asks_a_model_that_there_is(client: Client) -> None:
    Route.objects.create(alias="judge")
    sent = filled(check_name="moderation", action="block", model="judge")

    assert client.post(page("guardrailrule_add"), sent).status_code == 302
    assert GuardrailRule.objects.get().settings == {"model": "judge"}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"region": "XX"}, "There is no such country."),
        ({"kinds": ["jwt"]}, "Nothing of what is chosen belongs to this check."),
        ({"check_name": "words"}, "List a word or a pattern."),
        ({"check_name": "words", "patterns": "(a+)+b"}, "A group that is repeated"),
        ({"check_name": "words", "patterns": "["}, "This is no regular expression"),
        ({"check_name": "words", "words": "x" * 101}, "of at most 100 characters"),
        ({"check_name": "injection"}, "on the way to the model only"),
        ({"check_name": "moderation"}, "Moderation knows no place in a text"),
        ({"check_name": "moderation", "action": "log"}, "Choose who is asked."),
        ({"check_name": "injection", "direction": "in", "threshold": "2"}, "less than or equal"),
    ],
)
def test_a_rule_that_could_not_work_is_refused(
    client: Client, more: dict[str, Any], problem: str
) -> None:
    response = client.post(page("guardrailrule_add"), filled(**more))

    assert response.status_code == 200
    assert problem in text_of(response)
    assert not GuardrailRule.objects.exists()


def test_an_exemption_needs_no_settings(client: Client) -> None:
    sent = filled(check_name="words", action="off")

    assert client.post(page("guardrailrule_add"), sent).status_code == 302


def test_a_text_is_tried_and_not_kept(client: Client) -> None:
    add_rule("pii", "redact", name="No mail")
    add_rule("words", "log", name="Gods", words=("zeus",))

    shown = client.post(
        page("guardrailrule_try"), {"text": f"Zeus <b>{MAIL}</b>", "role": "user"}
    ).content.decode()

    assert f"<mark>{MAIL}<span" in shown
    assert "Zeus &lt;b&gt;[email]&lt;/b&gt;" in shown
    assert "No mail" in shown
    assert "Gods" in shown
    assert not GuardrailDecision.objects.exists()


@pytest.mark.parametrize(
    ("role", "told"), [("user", "The request was not sent"), ("assistant", "was broken off")]
)
def test_a_trial_says_what_the_caller_would_be_told(client: Client, role: str, told: str) -> None:
    add_rule("pii", "block", "both")

    response = client.post(page("guardrailrule_try"), {"text": MAIL, "role": role})

    assert told in text_of(response)
    assert "What would go on" not in text_of(response)


def test_a_trial_is_one_of_the_organization_and_prompt_chosen(client: Client) -> None:
    acme = Organization.objects.create(name="Acme", slug="acme")
    add_rule("pii", "redact", organization=acme)
    add_rule("pii", "off", prompt_name="crm")
    add_rule("moderation", "block", name="The judge", model="judge")
    sent: dict[str, Any] = {"text": MAIL, "role": "user"}

    others = text_of(client.post(page("guardrailrule_try"), sent))
    theirs = text_of(client.post(page("guardrailrule_try"), {**sent, "organization": acme.pk}))
    prompted = text_of(
        client.post(
            page("guardrailrule_try"), {**sent, "organization": acme.pk, "prompt_name": "crm"}
        )
    )

    assert "Nothing would be found" in others
    assert "Not asked here, for it costs money: The judge." in others
    assert "[email]" in theirs
    assert "[email]" not in prompted


def test_only_those_who_may_see_rules_try_them(client: Client) -> None:
    user = User.objects.create(username="limited", is_staff=True)
    client.force_login(user)
    assert client.get(page("guardrailrule_try")).status_code == 403

    user.user_permissions.set(Permission.objects.filter(codename="view_guardrailrule"))
    assert client.get(page("guardrailrule_try")).status_code == 200


def test_decisions_are_listed_filtered_and_never_changed(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    acme = Organization.objects.create(name="Acme", slug="acme")
    rows = [decision(acme, action) for action in ("log", "block") * 10]

    with django_assert_num_queries(7):
        shown = text_of(client.get(page("guardraildecision_changelist")))
    assert "20 guardrail decisions" in shown

    one = f"{page('guardraildecision_changelist')}?action__exact=block&organization__id__exact="
    assert "10 guardrail decisions" in text_of(client.get(f"{one}{acme.pk}"))
    assert client.get(page("guardraildecision_add")).status_code == 403
    changed = client.post(page("guardraildecision_change", rows[0].pk), {"kind": "x"})
    assert changed.status_code == 403


def decision(organization: Organization, action: str) -> GuardrailDecision:
    return GuardrailDecision.objects.create(
        decided_at=timezone.now(),
        organization=organization,
        rule_name="No mail",
        check_name="pii",
        kind="email",
        direction="in",
        action=action,
        count=1,
    )
