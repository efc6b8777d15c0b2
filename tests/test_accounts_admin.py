"""Staff make and revoke keys, and nobody rises by themselves."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Membership, Organization, User


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def boss(client: Client, organization: Organization) -> User:
    user = User.objects.create_superuser("boss", password="secret")
    client.force_login(user)
    return user


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:accounts_{name}", args=args)


def key_form(organization: Organization, **more: Any) -> dict[str, Any]:
    empty = {"user": "", "expires_at_0": "", "expires_at_1": ""}
    chosen = {"cache_mode": "on", "on_disconnect": "stop"}
    return {"organization": organization.pk, "name": "ci", **empty, **chosen, **more}


def test_a_new_key_is_shown_exactly_once(
    client: Client, boss: User, organization: Organization
) -> None:
    response = client.post(page("apikey_add"), key_form(organization), follow=True)

    (secret,) = set(re.findall(r"pk-[\w-]{43}", response.content.decode()))
    key = ApiKey.objects.get()
    assert keys.principal_of(secret).api_key_id == key.pk
    for address in (page("apikey_changelist"), page("apikey_change", key.pk)):
        shown = client.get(address).content.decode()
        assert key.prefix in shown
        assert secret not in shown
        assert key.key_hash not in shown


def test_a_key_for_a_stranger_is_refused_at_the_field(
    client: Client, boss: User, organization: Organization
) -> None:
    response = client.post(page("apikey_add"), key_form(organization, user=boss.pk))

    assert "boss is not a member of Acme." in response.content.decode()
    assert not ApiKey.objects.exists()


def test_keys_are_revoked_after_a_question_and_never_deleted(
    client: Client, boss: User, organization: Organization
) -> None:
    key, secret = keys.create(organization=organization, name="ci")
    action = {"action": "revoke", "_selected_action": [key.pk]}

    question = client.post(page("apikey_changelist"), action).content.decode()

    assert key.prefix in question
    assert "It cannot be taken back" in question
    assert keys.principal_of(secret)

    client.post(page("apikey_changelist"), {**action, "confirmed": "yes"})

    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(secret)
    assert client.post(page("apikey_delete", key.pk)).status_code == 403
    assert "revoked" in client.get(page("apikey_changelist")).content.decode()


def test_a_key_is_revoked_on_a_page_of_its_own(
    client: Client, boss: User, organization: Organization
) -> None:
    key, secret = keys.create(organization=organization, name="ci")
    assert (
        page("apikey_revoke", key.pk) in client.get(page("apikey_change", key.pk)).content.decode()
    )

    assert "Revoke" in client.get(page("apikey_revoke", key.pk)).content.decode()
    assert keys.principal_of(secret)
    client.post(page("apikey_revoke", key.pk))

    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(secret)
    assert (
        page("apikey_revoke", key.pk)
        not in client.get(page("apikey_change", key.pk)).content.decode()
    )


def test_a_new_secret_is_shown_once_and_the_old_one_has_its_time(
    client: Client, boss: User, organization: Organization
) -> None:
    key, old = keys.create(organization=organization, name="ci")

    client.get(page("apikey_rotate", key.pk))
    response = client.post(page("apikey_rotate", key.pk), {"overlap": "24"}, follow=True)

    (new,) = set(re.findall(r"pk-[\w-]{43}", response.content.decode()))
    assert keys.principal_of(new).api_key_id == keys.principal_of(old).api_key_id == key.pk
    assert new not in client.get(page("apikey_change", key.pk)).content.decode()


def test_what_a_key_may_do_is_set_and_changed(
    client: Client, boss: User, organization: Organization
) -> None:
    rights = {"scopes": ["chat", "models"], "allowed_addresses": "10.0.0.0/8"}
    client.post(page("apikey_add"), key_form(organization, **rights))
    key = ApiKey.objects.get()
    assert (key.scopes, key.allowed_addresses) == (["chat", "models"], "10.0.0.0/8")

    wrong = client.post(
        page("apikey_change", key.pk), key_form(organization, allowed_addresses="nonsense")
    )
    cleared = key_form(organization, on_disconnect="drain", allowed_addresses="")
    client.post(page("apikey_change", key.pk), cleared)

    assert "“nonsense” cannot be used" in wrong.content.decode()
    key.refresh_from_db()
    assert (key.scopes, key.allowed_addresses, key.on_disconnect) == ([], "", "drain")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=active", {"alive", "narrow"}),
        ("status=revoked", {"dead"}),
        ("status=expired", {"late"}),
        ("scope=chat", {"alive", "dead", "late"}),
        ("scope=data", {"alive", "dead", "late", "narrow"}),
        ("q=narrow", {"narrow"}),
    ],
)
def test_keys_are_found(
    client: Client, boss: User, organization: Organization, query: str, found: set[str]
) -> None:
    keys.create(organization=organization, name="alive")
    keys.create(organization=organization, name="narrow", scopes=["data"])
    keys.create(organization=organization, name="late", expires_at=timezone.now())
    keys.revoke(keys.create(organization=organization, name="dead")[0])

    shown = client.get(f"{page('apikey_changelist')}?{query}").context["cl"].result_list

    assert {key.name for key in shown} == found


def test_staff_without_permission_neither_revoke_nor_rotate(
    client: Client, boss: User, organization: Organization
) -> None:
    key, secret = keys.create(organization=organization, name="ci")
    clerk = User.objects.create(username="clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_apikey"))
    client.force_login(clerk)

    for name in ("apikey_revoke", "apikey_rotate"):
        assert client.get(page(name, key.pk)).status_code == 403
        assert client.post(page(name, key.pk), {"overlap": "0"}).status_code == 403
    assert keys.principal_of(secret)
    assert client.get(page("apikey_changelist")).status_code == 200


def test_a_key_leads_to_its_limits_and_budgets(
    client: Client, boss: User, organization: Organization
) -> None:
    key, _ = keys.create(organization=organization, name="ci")
    shown = client.get(page("apikey_change", key.pk)).content.decode()

    for name in ("llm_limit", "billing_budget"):
        link = f"{reverse(f'admin:{name}_changelist')}?api_key__id__exact={key.pk}"
        assert f'href="{link}"' in shown
        assert client.get(link).status_code == 200


def test_who_pays_for_a_key_stays(client: Client, boss: User, organization: Organization) -> None:
    key, _ = keys.create(organization=organization, name="ci")
    other = Organization.objects.create(name="Other", slug="other")

    client.post(page("apikey_change", key.pk), key_form(other, name="renamed"))

    key.refresh_from_db()
    assert (key.name, key.organization) == ("renamed", organization)


def test_a_person_with_keys_is_switched_off_rather_than_deleted(
    client: Client, boss: User, organization: Organization
) -> None:
    ada = User.objects.create(username="ada")
    Membership.objects.create(organization=organization, user=ada)
    keys.create(organization=organization, name="ci", user=ada)

    client.post(page("user_delete", ada.pk), {"post": "yes"})

    assert User.objects.filter(pk=ada.pk).exists()


def test_an_organization_is_edited_with_its_members(
    client: Client, boss: User, organization: Organization
) -> None:
    form = {
        "name": "Acme",
        "slug": "acme",
        "is_active": "on",
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 0,
        "memberships-0-user": boss.pk,
        "memberships-0-role": "owner",
    }

    client.post(page("organization_change", organization.pk), form)

    assert Membership.objects.get().user == boss
    assert client.get(page("organization_changelist")).status_code == 200


def test_staff_cannot_make_themselves_superusers(
    client: Client, boss: User, organization: Organization
) -> None:
    clerk = User.objects.create(username="clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    client.force_login(clerk)
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    form = {"username": "clerk", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    dates = {"date_joined_0": "2030-01-01", "date_joined_1": "10:00:00"}

    client.post(page("user_change", clerk.pk), {**form, **inline, **dates})
    password = client.post(
        f"/admin/accounts/user/{boss.pk}/password/", {"password1": "x" * 12, "password2": "x" * 12}
    )

    clerk.refresh_from_db()
    assert not clerk.is_superuser
    assert password.status_code == 403
    assert client.post(page("user_change", boss.pk), form).status_code == 403


def test_the_list_of_keys_asks_a_fixed_number_of_questions(
    client: Client, boss: User, organization: Organization, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        keys.create(organization=organization, name=f"key {number}")

    with django_assert_max_num_queries(8):
        client.get(page("apikey_changelist"))


def test_staff_see_no_secret_of_somebody_with_more_rights(
    client: Client, organization: Organization
) -> None:
    chief = User.objects.create_superuser("chief", password="secret")
    helper = User.objects.create_user("helper", password="secret", is_staff=True)
    names = ["add_apikey", "change_apikey", "view_apikey"]
    helper.user_permissions.set(Permission.objects.filter(codename__in=names))
    person = User.objects.create_user("ann", password="secret")
    for user in (chief, helper, person):
        Membership.objects.create(organization=organization, user=user)
    made = {
        user: keys.create(organization=organization, name="job", user=user)[0]
        for user in (chief, helper, person)
    }
    client.force_login(helper)

    rotated = {
        user.username: client.post(page("apikey_rotate", key.pk), {"overlap": "0"}).status_code
        for user, key in made.items()
    }
    added = client.post(page("apikey_add"), key_form(organization, user=chief.pk))

    assert rotated == {"chief": 403, "helper": 302, "ann": 302}
    assert list(added.context["adminform"].form.errors) == ["user"]
    assert ApiKey.objects.filter(user=chief).count() == 1
