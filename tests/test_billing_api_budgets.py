"""Budgets over REST: who sees which, who keeps them, and the same rules as in the admin."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import keys
from accounts.models import Membership, Organization, User
from billing.entries import Hold
from billing.models import Budget
from tests.billing_support import Tenant, attempt, book, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/budgets/"


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5")


def person(name: str, organization: Organization, *permissions: str, **fields: Any) -> User:
    user = User.objects.create_user(name, password="secret", **fields)
    Membership.objects.create(organization=organization, user=user)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def keeper(tenant: Tenant) -> Client:
    """Somebody of the staff who keeps budgets."""
    permissions = [f"{verb}_budget" for verb in ("view", "add", "change", "delete")]
    client = Client()
    client.force_login(person("keeper", tenant.organization, *permissions, is_staff=True))
    return client


def names(client: Client, **query: str) -> list[str]:
    response = client.get(URL, query)
    assert response.status_code == 200, response.content
    return sorted(row["name"] for row in response.json()["results"])


def send(client: Client, verb: str, path: str = URL, **body: Any) -> Any:
    return getattr(client, verb)(path, body, content_type="application/json")


def test_people_see_the_budgets_that_count_their_calls(tenant: Tenant, client: Client) -> None:
    organization = tenant.organization
    alice, bob = person("alice", organization), person("bob", organization)
    key, _ = keys.create(organization=organization, name="mine", user=alice)
    limited: dict[str, dict[str, Any]] = {
        "Alice": {"user": alice},
        "Bob": {"user": bob},
        "Her key": {"api_key": key},
        "Tagged": {"tag": "blue"},
    }
    for name, values in limited.items():
        Budget.objects.create(organization=organization, name=name, limit_usd=1, **values)
    make_tenant()  # another organization's
    client.force_login(alice)

    assert names(client) == ["Alice", "Her key", "Monthly", "Tagged"]


def test_a_key_of_nobody_sees_its_own_and_its_organizations(tenant: Tenant) -> None:
    key, secret = keys.create(organization=tenant.organization, name="job")
    other, _ = keys.create(organization=tenant.organization, name="other")
    for name, one in (("Its own", key), ("Another's", other)):
        Budget.objects.create(organization=tenant.organization, name=name, limit_usd=1, api_key=one)

    client = Client(headers={"Authorization": f"Bearer {secret}"})

    assert names(client) == ["Its own", "Monthly"]
    assert send(client, "post", name="No").status_code == 403


def test_a_budget_says_where_it_stands(tenant: Tenant, keeper: Client) -> None:
    book(Hold(attempt(tenant, "0.25")))

    (budget,) = keeper.get(URL).json()["results"]

    assert Decimal(budget["limit_usd"]) == 5
    assert Decimal(budget["spent_usd"]) == 0
    assert Decimal(budget["held_usd"]) == Decimal("0.25")
    assert Decimal(budget["room_usd"]) == Decimal("4.75")
    assert budget["resets_at"] > budget["created_at"]
    assert budget["organization"] == tenant.organization.slug


def test_staff_make_change_and_delete_and_the_admin_knows(tenant: Tenant, keeper: Client) -> None:
    body = {"name": "Team", "organization": tenant.organization.slug, "limit_usd": "2.50"}

    made = send(keeper, "post", **body, tag="blue", period="day", time_zone="Europe/Berlin")
    path = f"{URL}{made.json()['id']}/"
    changed = send(keeper, "patch", path, limit_usd="3", is_hard=False)
    stored = Budget.objects.get(name="Team")
    gone = keeper.delete(path)

    assert made.status_code == 201, made.content
    assert changed.status_code == 200, changed.content
    assert (stored.limit_usd, stored.is_hard, stored.tag) == (3, False, "blue")
    assert gone.status_code == 204
    assert not Budget.objects.filter(name="Team").exists()
    said = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert said == ["By the API", "By the API: is_hard, limit_usd", "By the API"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("organization", "nowhere"),
        ("limit_usd", "-1"),
        ("limit_usd", None),
        ("period", "year"),
        ("time_zone", "Mars/Olympus"),
        ("tag", "no, tag"),
        ("user", "stranger"),
        ("user", "nobody"),
        ("name", ""),
        ("name", "nul\0"),
    ],
)
def test_what_the_admin_refuses_is_refused_with_its_field(
    tenant: Tenant, keeper: Client, field: str, value: Any
) -> None:
    person("stranger", make_tenant().organization)
    body = {"name": "Team", "organization": tenant.organization.slug, "limit_usd": "1"}

    response = send(keeper, "post", **{**body, field: value})

    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == [field]
    assert Budget.objects.count() == 2  # those of the two organizations


@pytest.mark.parametrize("change", [{"tag": "red"}, {"period": "day"}, {"time_zone": "Asia/Tokyo"}])
def test_what_a_budget_counts_is_fixed(
    tenant: Tenant, keeper: Client, change: dict[str, str]
) -> None:
    response = send(keeper, "patch", f"{URL}{tenant.budget.pk}/", **change)

    assert response.status_code == 400
    assert "add another budget" in str(response.json()["error"]["fields"][next(iter(change))])


@pytest.mark.parametrize(
    ("permissions", "is_staff"),
    [((), True), (("change_budget", "add_budget"), False), (("view_budget",), True)],
)
def test_nobody_else_writes(
    tenant: Tenant, client: Client, permissions: tuple[str, ...], is_staff: bool
) -> None:
    client.force_login(person("ann", tenant.organization, *permissions, is_staff=is_staff))
    path = f"{URL}{tenant.budget.pk}/"

    assert send(client, "post", name="No").status_code == 403
    assert send(client, "patch", path, limit_usd="900").status_code == 403
    assert client.delete(path).status_code == 403
    assert Client().get(URL).status_code == 401
    assert tenant.budget.limit_usd == Budget.objects.get().limit_usd


def test_a_key_writes_only_where_it_names_the_scope(tenant: Tenant) -> None:
    boss = person("boss", tenant.organization, is_staff=True, is_superuser=True)
    path = f"{URL}{tenant.budget.pk}/"
    codes = []
    for scopes in ([], ["chat"], ["data"]):
        _, secret = keys.create(
            organization=tenant.organization, name="key", user=boss, scopes=scopes
        )
        client = Client(headers={"Authorization": f"Bearer {secret}"})
        codes.append(send(client, "patch", path, limit_usd="7").status_code)

    assert codes == [403, 403, 200]
    assert Budget.objects.get().limit_usd == 7


def test_filters_and_pages(tenant: Tenant, keeper: Client) -> None:
    organization = tenant.organization
    for number in range(3):
        Budget.objects.create(
            organization=organization, name=f"Soft {number}", limit_usd=1, is_hard=False
        )
    other = make_tenant().organization

    assert names(keeper, is_hard="false") == ["Soft 0", "Soft 1", "Soft 2"]
    assert names(keeper, name="soft 1") == ["Soft 1"]
    assert names(keeper, organization=other.slug) == ["Monthly"]
    first = keeper.get(URL, {"page_size": "3"}).json()
    rest = keeper.get(first["next"]).json()
    assert [len(first["results"]), len(rest["results"])] == [3, 2]
    assert keeper.get(URL, {"period": "year"}).status_code == 400


def test_a_page_asks_the_database_no_more_for_more_budgets(
    tenant: Tenant, keeper: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        Budget.objects.create(organization=tenant.organization, name=f"B{number}", limit_usd=1)

    with django_assert_max_num_queries(14):
        assert len(names(keeper)) == 21


@pytest.mark.parametrize("field", ["organization", "user"])
def test_a_name_with_a_zero_character_is_refused(
    keeper: Client, tenant: Tenant, field: str
) -> None:
    body = {"name": "Odd", "organization": tenant.organization.slug, "limit_usd": "5"}

    response = keeper.post(URL, {**body, field: "a\0b"}, content_type="application/json")

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
