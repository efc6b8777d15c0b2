"""Staff upload batches, see how far they are, and do with them what can be done."""

import json
from collections.abc import AsyncIterable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from billing.models import UsageRecord
from gateway import admin as pages
from gateway.batches import leases, lines
from gateway.models import Batch, BatchLine, BatchState
from tests.batch_support import jsonl, line

pytestmark = pytest.mark.django_db

BATCHES = "/admin/gateway/batch/"


@pytest.fixture
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


def upload(client: Client, acme: Organization, content: bytes, **fields: object) -> str:
    """Return the page that follows, or "" where the batch was saved."""
    file = SimpleUploadedFile("requests.jsonl", content)
    form = {"organization": acme.pk, "concurrency": 4, "file": file, **fields}
    response = client.post(f"{BATCHES}add/", form)
    return "" if response.status_code == 302 else str(response.content.decode())


def end(batch: Batch, *codes: int) -> None:
    """Give the first lines results with these statuses, and end the batch."""
    for row, code in zip(BatchLine.objects.filter(batch=batch), codes, strict=False):
        text = json.dumps({"custom_id": row.custom_id, "response": {"status_code": code}})
        leases.save(row, lines.Result(row.custom_id, text.encode(), code))
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.FINISHED)


def test_a_file_becomes_a_batch(client: Client, boss: User, acme: Organization) -> None:
    odd = line(2, messages=[{"role": "user", "content": "zero \x00"}])

    assert upload(client, acme, jsonl(line(1), "", odd), per_second="0.5") == ""

    batch = Batch.objects.get()
    assert (batch.name, batch.state) == ("requests.jsonl", BatchState.WAITING)
    assert (batch.concurrency, batch.per_second, batch.user) == (4, 0.5, None)
    rows = list(BatchLine.objects.values_list("number", "custom_id", "body"))
    assert [row[:2] for row in rows] == [(1, "c1"), (3, "c2")]
    assert json.loads(rows[1][2]) == odd["body"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (jsonl(line(1), line(2, top_p=7)), "Line 2: `top_p` is wrong:"),
        (jsonl(line(1), line(1)), "Line 2: The `custom_id` is that of line 1."),
        (jsonl(line(1, stream=True)), "leave `stream` out."),
        (b"\xff\xfe\x00", "Line 1: This is no line of a batch:"),
        (b"\n\n", "There is no line in it."),
    ],
)
def test_a_wrong_file_is_refused_in_plain_words(
    client: Client, boss: User, acme: Organization, content: bytes, said: str
) -> None:
    assert said in upload(client, acme, content)
    assert not Batch.objects.exists()


def test_what_is_too_large_or_too_fast_is_refused(
    client: Client, boss: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = jsonl(line(1), line(2))
    assert "less than or equal to 100" in upload(client, acme, two, concurrency=101)
    assert "greater than or equal to 0.001" in upload(client, acme, two, per_second=0)
    outsider = User.objects.create_user("eve")
    assert "eve is not a member of Acme." in upload(client, acme, two, user=outsider.pk)
    monkeypatch.setattr(pages, "MOST_LINES", 1)
    assert "more than 1 lines" in upload(client, acme, two)
    monkeypatch.setattr(pages, "MOST_BYTES", 10)
    assert "larger than 10" in upload(client, acme, two)
    assert not Batch.objects.exists()


def test_the_page_says_how_far_it_is(client: Client, boss: User, acme: Organization) -> None:
    upload(client, acme, jsonl(*map(line, range(5))))
    batch = Batch.objects.get()
    end(batch, 200, 404, 502, 404)
    for surface, cost in (("batch", "0.25"), ("batch", "0.5"), ("api", "7")):
        UsageRecord.objects.create(
            request_id=f"{batch.run_name}1",
            surface=surface,
            organization=acme,
            provider="p",
            model_asked="m",
            model_served="m",
            state="settled",
            outcome="success",
            cost_usd=cost,
            lease_expires_at=batch.created_at,
        )

    page = client.get(f"{BATCHES}{batch.pk}/change/").content.decode()

    assert "4 of 5" in page
    assert "3: 2 with status 404, 1 with status 502" in page
    assert "$0.75" in page
    assert 'name="_save"' not in page
    assert "Ask failed and open lines again" in page


def test_buttons_cancel_and_ask_again(client: Client, boss: User, acme: Organization) -> None:
    upload(client, acme, jsonl(*map(line, range(3))))
    batch = Batch.objects.get()
    url = f"{BATCHES}{batch.pk}"
    assert client.get(f"{url}/cancel/").status_code == 405

    page = client.post(f"{url}/retry/", follow=True).content.decode()
    assert "The batch is still running" in page
    page = client.post(f"{url}/cancel/", follow=True).content.decode()
    assert "The batch is cancelled." in page
    page = client.post(f"{url}/cancel/", follow=True).content.decode()
    assert "The batch has already ended." in page
    assert Batch.objects.get().state == BatchState.CANCELLED

    page = client.post(f"{url}/retry/", follow=True).content.decode()
    assert "Lines that are asked again: 3." in page
    assert Batch.objects.get().state == BatchState.WAITING
    assert client.post(f"{BATCHES}999/cancel/").status_code == 404


def test_whoever_may_only_look_can_do_nothing(client: Client, acme: Organization) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_batch"))
    client.force_login(viewer)
    batch = Batch.objects.create(name="Test", organization=acme)
    url = f"{BATCHES}{batch.pk}"

    page = client.get(f"{url}/change/").content.decode()

    assert "batch-tools" not in page
    assert client.post(f"{url}/cancel/").status_code == 403
    assert client.post(f"{url}/retry/").status_code == 403
    assert client.get(f"{url}/results/").status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_results_are_downloaded_as_far_as_they_are(async_client: AsyncClient) -> None:
    from asgiref.sync import sync_to_async

    def arrange() -> tuple[User, Batch]:
        acme = Organization.objects.create(name="Acme", slug="acme")
        batch = Batch.objects.create(name="Test", organization=acme)
        rows = [
            BatchLine(batch=batch, number=number, custom_id=f"c{number}", body="{}")
            for number in range(1, 251)
        ]
        BatchLine.objects.bulk_create(rows)
        end(batch, *[200] * 240)
        return User.objects.create_superuser("boss"), batch

    boss, batch = await sync_to_async(arrange)()
    await async_client.aforce_login(boss)

    response: Any = await async_client.get(f"{BATCHES}{batch.pk}/results/")

    assert isinstance(response.streaming_content, AsyncIterable)
    content = b"".join([part async for part in response.streaming_content]).decode()
    assert "attachment" in response["Content-Disposition"]
    found = [json.loads(text)["custom_id"] for text in content.splitlines()]
    assert found == [f"c{number}" for number in range(1, 241)]


def test_the_list_has_a_constant_number_of_queries(
    client: Client, boss: User, acme: Organization
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(BATCHES).status_code == 200
        return len(captured)

    upload(client, acme, jsonl(line(1)))
    client.get(BATCHES)
    one = queries()
    for _ in range(3):
        upload(client, acme, jsonl(line(1), line(2)))

    assert queries() == one
    assert client.get(BATCHES).content.decode().count("0 of 2") == 3


def test_a_batch_is_deleted_without_a_list_of_its_lines(
    client: Client, boss: User, acme: Organization
) -> None:
    upload(client, acme, jsonl(*map(line, range(3))))
    url = f"{BATCHES}{Batch.objects.get().pk}/delete/"

    page = client.get(url).content.decode()
    client.post(url, {"post": "yes"})

    assert "Lines: 3" in page
    assert "c1" not in page
    assert not BatchLine.objects.exists()
