"""People make, change, replace and revoke their own keys, and see what they cost."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Membership, Organization, Role
from billing.models import UsageDay
from gateway.key_spending import spent_this_month
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = re.compile(r"pk-[\w-]{43}")
FORM = {"name": "My script", "lifetime": "90", "on_disconnect": "stop"}


@pytest.fixture
def ada(acme: Organization) -> Person:
    return Person("ada", acme)


@pytest.fixture
def boss(acme: Organization) -> Person:
    person = Person("boss", acme)
    Membership.objects.filter(user=person.user).update(role=Role.OWNER)
    return person


def secret_on(page: Any) -> str:
    (found,) = set(SECRET.findall(page.content.decode()))
    return str(found)


def test_who_has_no_key_sees_how_one_is_used(ada: Person) -> None:
    page = ada.browser.get("/keys/")

    assert page.status_code == 200
    assert "You have no key yet" in page.content.decode()
    assert "curl http://testserver/v1/chat/completions" in page.content.decode()
    assert 'href="/keys/"' in ada.browser.get("/").content.decode()


def test_a_key_is_made_shown_once_and_works(ada: Person) -> None:
    rights = {"scopes": ["chat", "models"], "allowed_models": "gpt-*"}
    made = ada.browser.post("/keys/", {**FORM, **rights, "allowed_addresses": "10.0.0.0/8"})

    secret = secret_on(made)
    assert "no-store" in made["Cache-Control"]
    assert SECRET.search(ada.browser.get("/keys/").content.decode()) is None
    key = ApiKey.objects.get()
    assert (key.user, key.name, key.scopes) == (ada.user, "My script", ["chat", "models"])
    assert key.expires_at is not None
    assert 89 <= (key.expires_at - timezone.now()).days <= 90
    principal = keys.principal_of(secret, exact_ip="10.1.2.3")
    assert (principal.user_id, principal.allowed_models) == (ada.user.pk, ("gpt-*",))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"allowed_addresses": "nonsense"}, "“nonsense” cannot be used"),
        ({"scopes": ["everything"]}, "everything is not one of the available choices"),
        ({"lifetime": "5000"}, "5000 is not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(ada: Person, wrong: Any, said: str) -> None:
    page = ada.browser.post("/keys/", {**FORM, **wrong})

    assert page.status_code == 400
    assert said in page.content.decode()
    assert not ApiKey.objects.exists()


CHANGED = {
    **FORM,
    "name": "Nightly",
    "lifetime": "keep",
    "scopes": ["embeddings"],
    "allowed_models": "demo-*",
    "allowed_addresses": "10.0.0.0/8",
    "on_disconnect": "drain",
    "cache_mode": "read",
}


def test_a_key_is_changed_and_keeps_its_secret(ada: Person) -> None:
    key, secret = keys.create(organization=ada.organization, name="ci", user=ada.user)

    page = ada.browser.get(f"/keys/{key.pk}/change/").content.decode()
    answer = ada.browser.post(f"/keys/{key.pk}/change/", CHANGED, follow=True)

    assert 'value="ci"' in page
    assert "As before: until it is revoked" in page
    assert "Changed Nightly" in answer.content.decode()
    principal = keys.principal_of(secret, exact_ip="10.1.2.3")
    assert (principal.scopes, principal.allowed_models) == (("embeddings",), ("demo-*",))
    assert (principal.allowed_addresses, principal.cache_mode) == (("10.0.0.0/8",), "read")
    assert principal.on_disconnect == "drain"


@pytest.mark.parametrize(("lifetime", "days"), [("keep", 3), ("90", 90), ("", None)])
def test_the_end_of_a_key_is_kept_moved_or_lifted(
    ada: Person, lifetime: str, days: int | None
) -> None:
    now = timezone.now()
    key, _ = keys.create(
        organization=ada.organization, name="ci", user=ada.user, expires_at=now + timedelta(days=3)
    )

    ada.browser.post(f"/keys/{key.pk}/change/", {**CHANGED, "lifetime": lifetime})

    key.refresh_from_db()
    assert key.name == "Nightly"
    if days is None:
        assert key.expires_at is None
    else:
        assert key.expires_at is not None
        assert key.expires_at - now == pytest.approx(timedelta(days=days), abs=timedelta(minutes=5))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"allowed_addresses": "nonsense"}, "“nonsense” cannot be used"),
        ({"scopes": ["everything"]}, "everything is not one of the available choices"),
        ({"lifetime": "5000"}, "5000 is not one of the available choices"),
    ],
)
def test_a_wrong_change_is_said_at_its_field_and_changes_nothing(
    ada: Person, wrong: Any, said: str
) -> None:
    key, _ = keys.create(organization=ada.organization, name="ci", user=ada.user)

    page = ada.browser.post(f"/keys/{key.pk}/change/", {**CHANGED, **wrong})

    assert page.status_code == 400
    assert said in page.content.decode()
    assert "Change “ci”" in page.content.decode()
    key.refresh_from_db()
    assert (key.name, key.scopes, key.allowed_addresses) == ("ci", [], "")


def test_who_manages_the_organization_changes_all_its_keys(ada: Person, boss: Person) -> None:
    key, _ = keys.create(organization=ada.organization, name="ci", user=ada.user)

    boss.browser.post(f"/keys/{key.pk}/change/", CHANGED)

    assert ApiKey.objects.get().name == "Nightly"


def test_a_revoked_key_is_not_changed(ada: Person) -> None:
    key, _ = keys.create(organization=ada.organization, name="ci", user=ada.user)
    keys.revoke(key)

    assert ada.browser.post(f"/keys/{key.pk}/change/", CHANGED).status_code == 404


def test_staff_find_the_way_to_limits_and_budgets(ada: Person) -> None:
    key, _ = keys.create(organization=ada.organization, name="ci", user=ada.user)
    others = ada.browser.get(f"/keys/{key.pk}/change/").content.decode()
    ada.user.is_staff = ada.user.is_superuser = True
    ada.user.save()

    page = ada.browser.get(f"/keys/{key.pk}/change/").content.decode()

    assert f"/admin/accounts/apikey/{key.pk}/change/" in page
    assert f"/admin/accounts/apikey/{key.pk}/change/" not in others


def test_a_key_is_revoked_after_a_question(ada: Person) -> None:
    key, secret = keys.create(organization=ada.organization, name="ci", user=ada.user)

    assert "cannot be taken back" in ada.browser.get(f"/keys/{key.pk}/revoke/").content.decode()
    assert keys.principal_of(secret)
    answer = ada.browser.post(f"/keys/{key.pk}/revoke/", follow=True)

    assert "Revoked ci" in answer.content.decode()
    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(secret)
    assert ada.browser.get(f"/keys/{key.pk}/revoke/").status_code == 404


def test_a_key_gets_a_new_secret(ada: Person) -> None:
    key, old = keys.create(organization=ada.organization, name="ci", user=ada.user)

    assert ada.browser.get(f"/keys/{key.pk}/rotate/").status_code == 200
    wrong = ada.browser.post(f"/keys/{key.pk}/rotate/", {"overlap": "1000"})
    new = secret_on(ada.browser.post(f"/keys/{key.pk}/rotate/", {"overlap": "0"}))

    assert wrong.status_code == 400
    assert keys.principal_of(new).api_key_id == key.pk
    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(old)


def test_nobody_sees_or_touches_anothers_key(ada: Person, boss: Person) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    foreigner = Person("foreigner", other)
    colleague = Person("colleague", ada.organization)
    Membership.objects.filter(user=foreigner.user).update(role=Role.OWNER)
    key, secret = keys.create(organization=ada.organization, name="Of Ada", user=ada.user)

    for stranger in (foreigner, colleague):
        assert "Of Ada" not in stranger.browser.get("/keys/").content.decode()
        for verb in ("change", "revoke", "rotate"):
            assert stranger.browser.get(f"/keys/{key.pk}/{verb}/").status_code == 404
            assert stranger.browser.post(f"/keys/{key.pk}/{verb}/").status_code == 404
    for address in ("/keys/", f"/keys/{key.pk}/revoke/", f"/keys/{key.pk}/rotate/"):
        assert Client().post(address)["Location"].startswith("/accounts/sign-in/")
    assert keys.principal_of(secret)


def test_who_manages_the_organization_sees_all_its_keys(ada: Person, boss: Person) -> None:
    key, secret = keys.create(organization=ada.organization, name="Of Ada", user=ada.user)

    page = boss.browser.get("/keys/").content.decode()
    boss.browser.post(f"/keys/{key.pk}/revoke/")

    assert "Of Ada" in page
    assert "Other keys of Acme" in page
    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(secret)


def test_a_key_of_nobody_is_made_by_who_manages_the_organization(ada: Person, boss: Person) -> None:
    boss.browser.post("/keys/", {**FORM, "belongs_to": "organization"})
    ada.browser.post("/keys/", {**FORM, "belongs_to": "organization"})

    assert [key.user for key in ApiKey.objects.order_by("pk")] == [None, ada.user]


def test_a_key_says_what_it_cost_this_month(ada: Person) -> None:
    key, _ = keys.create(organization=ada.organization, name="ci", user=ada.user)
    other, _ = keys.create(organization=ada.organization, name="other", user=ada.user)
    for _ in range(2):
        _used(key, "0.75")

    assert spent_this_month([key, other]) == {key.pk: Decimal("1.5")}
    assert "$1.50" in ada.browser.get("/keys/").content.decode()


def test_the_page_asks_a_fixed_number_of_questions(
    ada: Person, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        keys.create(organization=ada.organization, name=f"{number}", user=ada.user)

    with django_assert_max_num_queries(8):
        ada.browser.get("/keys/")


def _used(key: ApiKey, cost: str) -> None:
    texts = ["user_name", "api_key_prefix", "surface", "prompt_name", "provider", "model_served"]
    texts += ["service_tier", "outcome", "error_class"]
    known = {"organization_id", "api_key_id", "cost_usd", "starts_at", "id", "user_id"}
    rest: dict[str, Any] = dict.fromkeys(texts, "")
    rest |= {"tags": [], "ttft_ms": [], "duration_ms": [], "is_cache_hit": False}
    rest["prompt_version"] = None
    for field in UsageDay._meta.fields:
        if field.attname not in known:
            rest.setdefault(field.attname, 0)
    UsageDay.objects.create(
        organization_id=key.organization_id,
        api_key_id=key.pk,
        cost_usd=Decimal(cost),
        starts_at=timezone.now().replace(hour=0, minute=0, second=0, microsecond=0),
        **rest,
    )


def test_who_manages_the_organization_gets_no_secret_of_a_persons_key(
    ada: Person, boss: Person
) -> None:
    key, _ = keys.create(organization=ada.organization, name="Of Ada", user=ada.user)
    common, _ = keys.create(organization=ada.organization, name="Of nobody")

    page = boss.browser.get("/keys/").content.decode()

    assert f"/keys/{key.pk}/rotate/" not in page
    assert boss.browser.post(f"/keys/{key.pk}/rotate/", {"overlap": "0"}).status_code == 404
    assert f"/keys/{common.pk}/rotate/" in page
    assert secret_on(boss.browser.post(f"/keys/{common.pk}/rotate/", {"overlap": "0"}))
