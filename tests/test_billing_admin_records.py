"""The list of usage records in the admin: found fast among millions."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing.entries import Hold, Settle
from billing.models import UsageRecord
from billing.reports import rollups
from core.admin import ShortPaginator
from core.ids import lowest_id, new_id
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db

LIST = reverse("admin:billing_usagerecord_changelist")


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5.00")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


def call(tenant: Tenant, **changes: Any) -> UsageRecord:
    made = attempt(tenant, "0.10", **changes)
    for entry in (Hold(made), Settle(settlement(made, "0.01"))):
        book(entry)
    return UsageRecord.objects.get(pk=made.id)


def listed(staff: Client, **query: str) -> list[str]:
    """Return the request ids of the page, as it lists them."""
    return [record.request_id for record in staff.get(LIST, query).context["cl"].result_list]


def test_the_newest_come_first_by_the_order_of_their_ids(staff: Client, tenant: Tenant) -> None:
    for name in ("one", "two", "three"):
        call(tenant, request_id=name)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = listed(staff)

    assert found == ["three", "two", "one"]
    read = [query["sql"] for query in queries if 'FROM "billing_usagerecord"' in query["sql"]]
    assert [sql.rpartition(" FROM ")[2].partition(" ")[2] for sql in read[:1]] == [
        f"LIMIT {ShortPaginator.MOST}) subquery"
    ]
    assert read[1].endswith('ORDER BY "billing_usagerecord"."id" DESC')
    assert len(read) == 2, "nothing else reads the records"


def test_no_more_rows_are_counted_than_can_be_leafed_through(
    staff: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShortPaginator, "MOST", 2)
    for name in ("one", "two", "three"):
        call(tenant, request_id=name)

    assert staff.get(LIST).context["cl"].result_count == 2


def test_a_time_is_looked_up_by_the_ids_made_in_it(staff: Client, tenant: Tenant) -> None:
    call(tenant, request_id="now")
    start = timezone.now()

    before = {"started_at__lt": (start - timedelta(hours=1)).isoformat()}
    around = {
        "started_at__gte": (start - timedelta(hours=1)).isoformat(),
        "started_at__lt": (start + timedelta(hours=1)).isoformat(),
    }
    assert listed(staff, **before) == []
    with CaptureQueriesContext(connection) as queries:
        assert listed(staff, **around) == ["now"]
    assert any('"billing_usagerecord"."id" >= ' in query["sql"] for query in queries)


def test_a_time_that_is_none_is_no_error_page(staff: Client) -> None:
    assert staff.get(LIST, {"started_at__gte": "yesterday"}).status_code == 302


def test_surfaces_and_providers_to_choose_from_are_those_of_the_sums(
    staff: Client, tenant: Tenant
) -> None:
    call(tenant, request_id="here", surface="api", provider="acme")
    call(tenant, request_id="there", surface="chat", provider="zenith")
    rollups.catch_up()

    page = staff.get(LIST).content.decode()

    assert "?provider=acme" in page
    assert "?surface=chat" in page
    assert listed(staff, provider="acme") == ["here"]
    assert listed(staff, surface="chat", provider="acme") == []


def test_search_knows_whole_request_ids_and_parts_of_names(staff: Client, tenant: Tenant) -> None:
    call(tenant, request_id="order-7", model_served="gpt-small")
    call(tenant, request_id="order-8", model_served="claude-large")
    rollups.catch_up()

    assert listed(staff, q="order-7") == ["order-7"]
    assert listed(staff, q="CLAUDE") == ["order-8"]
    assert listed(staff, q="order") == []
    assert len(listed(staff, q="  ")) == 2


def test_the_records_of_an_experiment_are_found_by_its_name(staff: Client, tenant: Tenant) -> None:
    for name in ("tone", "tone", "length", ""):
        call(tenant, request_id=f"of {name}", experiment=name, arm="a", unit="user-7")

    page = staff.get(LIST).content.decode()
    record = UsageRecord.objects.filter(experiment="length").get()

    for name in ("tone", "length"):
        assert f'<a href="?experiment={name}"' in page
    assert listed(staff, experiment="tone") == listed(staff, q="tone") == ["of tone"] * 2
    assert "user-7" in staff.get(f"{LIST}{record.pk}/change/").content.decode()


def test_the_list_says_where_it_ends(staff: Client) -> None:
    assert "the newest 10,000 records" in staff.get(LIST).content.decode()


def test_ids_of_a_moment_lie_between_those_before_and_after() -> None:
    before = lowest_id(timezone.now())

    assert before <= new_id() < lowest_id(timezone.now() + timedelta(seconds=1))
