"""What cannot be made a batch, and who sees which batches and files."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from accounts import keys
from accounts.models import ApiKey, Organization
from gateway.models import Batch, File
from tests.batch_support import asked, begin, jsonl, upload
from tests.gateway import Program, program
from tests.servers import Site
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def test_what_cannot_be_made_a_batch(caller: Program) -> None:
    file_id = upload(caller, asked(caller, 1))
    good: dict[str, Any] = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"endpoint": "/v1/responses"}, "unsupported_parameter", "endpoint"),
        ({"completion_window": "1h"}, "invalid_request", "completion_window"),
        ({"input_file_id": "file-nonsense"}, "invalid_request", "input_file_id"),
        ({"metadata": {"a": 5}}, "invalid_request", "metadata[...]"),
        ({"output_expires_after": {}}, "unsupported_parameter", "output_expires_after"),
        ({"metadata": {"a": "\0"}}, "invalid_request", "metadata"),
        ({"priority": 1}, "unknown_parameter", "priority"),
    ]

    for change, code, param in wrong:
        error = caller.http.post("/batches", json={**good, **change}).json()["error"]
        assert (error["code"], error["param"]) == (code, param)

    assert not Batch.objects.exists()


def test_a_batch_rests_while_its_key_is_revoked(caller: Program) -> None:
    other, secret = keys.create(organization=caller.site.organization, name="other")
    with OpenAI(base_url=f"{caller.site.url}/v1", api_key=secret, max_retries=0) as client:
        file = client.files.create(file=("a.jsonl", jsonl(asked(caller, 1))), purpose="batch")
        client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    keys.revoke(other)

    assert not Batch.objects.due().exists()
    ApiKey.objects.update(revoked_at=None)
    assert Batch.objects.due().exists()
    ApiKey.objects.filter(pk=other.pk).delete()
    assert not Batch.objects.due().exists()


def test_a_batch_is_made_once(caller: Program) -> None:
    file_id = upload(caller, asked(caller, 1))
    made = [
        caller.openai.batches.create(
            input_file_id=file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            extra_headers={"Idempotency-Key": "night-7"},
        )
        for _ in range(2)
    ]

    assert made[0].id == made[1].id
    assert Batch.objects.count() == 1


def test_pages_of_batches_and_files(caller: Program) -> None:
    ids = [begin(caller, asked(caller, number)).id for number in range(5)]

    page = caller.openai.batches.list(limit=2)
    plain = caller.http.get("/batches", params={"limit": 2}).json()

    assert [one.id for one in page.data] == ids[:-3:-1]
    assert (plain["first_id"], plain["last_id"], plain["has_more"]) == (ids[4], ids[3], True)
    assert [one.id for one in page] == ids[::-1]
    files = caller.openai.files.list(limit=2, purpose="batch")
    assert len(files.data) == 2
    assert len(list(files)) == 5
    assert len(caller.openai.files.list(order="asc", limit=3).data) == 3
    assert caller.openai.files.list(purpose="batch_output").data == []
    for query in ("limit=0", "limit=x", "after=nonsense", "before=x"):
        assert caller.http.get(f"/batches?{query}").status_code == 400
        assert caller.http.get(f"/files?{query}").status_code == 400


def test_nobody_sees_what_is_another_ones(caller: Program) -> None:
    batch = begin(caller, asked(caller, 1))
    other = Organization.objects.create(name="Other", slug="other")
    for owner in (other, caller.site.organization):
        _, secret = keys.create(organization=owner, name="stranger")
        headers = {"Authorization": f"Bearer {secret}"}
        for method, path in [
            ("GET", f"/files/{batch.input_file_id}"),
            ("GET", f"/files/{batch.input_file_id}/content"),
            ("DELETE", f"/files/{batch.input_file_id}"),
            ("GET", f"/batches/{batch.id}"),
            ("POST", f"/batches/{batch.id}/cancel"),
        ]:
            response = caller.http.request(method, path, headers=headers)
            assert response.status_code == 404, (method, path)
        for path in ("/files", "/batches"):
            assert caller.http.get(path, headers=headers).json()["data"] == []
        made = caller.http.post(
            "/batches",
            headers=headers,
            json={
                "input_file_id": batch.input_file_id,
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            },
        )
        assert made.status_code == 400
    assert File.objects.count() == Batch.objects.count() == 1


def test_a_key_for_chat_alone_sees_nothing(caller: Program) -> None:
    _, secret = keys.create(organization=caller.site.organization, name="chat", scopes=["chat"])
    headers = {"Authorization": f"Bearer {secret}"}

    answers: list[httpx2.Response] = [
        caller.http.get("/files", headers=headers),
        caller.http.get("/batches", headers=headers),
        caller.http.post("/embeddings", headers=headers, json={}),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
