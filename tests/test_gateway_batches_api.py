"""`/v1/files` and `/v1/batches` as programs use them: the official client, with a real worker."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import openai
import pytest
from django.conf import settings
from django.utils import timezone
from openai import OpenAI
from openai.types import Batch as Shown

from accounts import keys
from accounts.models import ApiKey, Organization
from billing import books
from billing.models import UsageRecord, UsageState
from gateway.batches.thread import BatchThread
from gateway.models import Batch, BatchLine, File
from tests.batch_support import jsonl, line
from tests.gateway import PATIENCE, Program, eventually, program
from tests.servers import Site, environment
from tests.vendor import Answer, FakeVendor, Gate
from tests.vendor_inputs import vector_of

pytestmark = pytest.mark.processes

REFUSED = Answer(status=400, error={"message": "No.", "code": "nope"})


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


@pytest.fixture
def worker(site: Site) -> Iterator[BatchThread]:
    """The worker's batches, in a thread."""
    thread = BatchThread()
    yield thread
    thread.stop()


def asked(caller: Program, number: int, **more: Any) -> dict[str, Any]:
    return line(number, model=caller.model, **more)


def upload(caller: Program, *lines: Any) -> str:
    file = ("requests.jsonl", io.BytesIO(jsonl(*lines)))
    return caller.openai.files.create(file=file, purpose="batch").id


def begin(caller: Program, *lines: Any, endpoint: Any = "/v1/chat/completions") -> Shown:
    return caller.openai.batches.create(
        input_file_id=upload(caller, *lines), endpoint=endpoint, completion_window="24h"
    )


def ended(caller: Program, batch: Shown, status: str = "completed") -> Shown:
    """Return the batch when it has ended like that."""
    retrieve = caller.openai.batches.retrieve
    deadline = time.monotonic() + PATIENCE * 2
    while (found := retrieve(batch.id)).status != status:
        assert time.monotonic() < deadline, found
        assert found.status not in {"completed", "failed", "expired", "cancelled"} - {status}, found
        time.sleep(0.05)
    return found


def lines_of(caller: Program, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    text = caller.openai.files.content(file_id).text
    return [json.loads(one) for one in text.splitlines()]


def statuses(*batches: Shown) -> list[str]:
    return [batch.status for batch in batches]


def test_a_batch_from_the_upload_to_its_results(caller: Program, worker: BatchThread) -> None:
    caller.vendor.script(Answer(), REFUSED, Answer())
    Batch.objects.all().delete()

    batch = begin(caller, *[asked(caller, number) for number in range(12)])

    assert (batch.object, batch.endpoint) == ("batch", "/v1/chat/completions")
    assert batch.completion_window == "24h"
    assert batch.expires_at == pytest.approx(batch.created_at + 24 * 3600, abs=2)
    done = ended(caller, batch)
    counts = done.request_counts
    assert counts is not None
    assert (counts.total, counts.completed, counts.failed) == (12, 11, 1)
    good, wrong = lines_of(caller, done.output_file_id), lines_of(caller, done.error_file_id)
    assert len({one["custom_id"] for one in [*good, *wrong]}) == 12
    assert [one["custom_id"] for one in good] == sorted(
        (one["custom_id"] for one in good), key=lambda name: int(name[1:])
    )
    assert {one["response"]["status_code"] for one in good} == {200}
    assert [one["response"]["status_code"] for one in wrong] == [400]
    assert all(moment is not None for moment in (done.in_progress_at, done.finalizing_at))
    assert done.completed_at is not None
    assert (done.failed_at, done.expired_at, done.cancelled_at) == (None, None, None)
    output = caller.openai.files.retrieve(str(done.output_file_id))
    assert (output.purpose, output.status) == ("batch_output", "processed")
    assert output.bytes == len(caller.openai.files.content(output.id).content)
    rows = UsageRecord.objects.filter(surface="batch")
    assert {row.api_key_prefix for row in rows} == {caller.site.api_key[: keys.SHOWN]}


def test_vectors_in_a_batch(caller: Program, worker: BatchThread) -> None:
    body = {"model": caller.model, "input": ["one", "three"]}
    request = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": body}

    done = ended(caller, begin(caller, request, endpoint="/v1/embeddings"))

    [made] = lines_of(caller, done.output_file_id)
    data = made["response"]["body"]["data"]
    assert [one["embedding"] for one in data] == [list(vector_of("one")), list(vector_of("three"))]
    assert done.error_file_id is None


def test_a_wrong_file_fails_with_the_numbers_of_its_lines(
    caller: Program, worker: BatchThread
) -> None:
    lines = [
        asked(caller, 1),
        "{nonsense",
        asked(caller, 3, temperature=9),
        asked(caller, 1),
        {**asked(caller, 5), "url": "/v1/embeddings"},
    ]

    done = ended(caller, begin(caller, *lines), "failed")

    assert done.errors is not None
    found = [(one.line, one.param) for one in done.errors.data or []]
    assert found == [(2, None), (3, "temperature"), (4, "custom_id"), (5, "url")]
    assert done.failed_at is not None
    assert done.output_file_id is None
    assert not caller.vendor.requests


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


def test_a_cancelled_batch_keeps_what_there_is(caller: Program, worker: BatchThread) -> None:
    caller.vendor.script(Answer(), Answer(fault="stall"))
    batch = begin(caller, *[asked(caller, number) for number in range(20)])
    eventually(lambda: BatchLine.objects.filter(status_code=200).count() == 1)

    assert caller.openai.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = ended(caller, batch, "cancelled")

    assert [one["response"]["status_code"] for one in lines_of(caller, done.output_file_id)] == [
        200
    ]
    assert done.error_file_id is None
    assert done.cancelling_at is not None
    assert done.cancelled_at is not None
    assert done.request_counts is not None
    assert done.request_counts.total == 20
    with pytest.raises(openai.ConflictError):
        caller.openai.batches.cancel(batch.id)


def test_what_is_not_asked_in_time_is_told(caller: Program) -> None:
    caller.vendor.script(Answer(), Answer(fault="stall"))
    batch = begin(caller, *[asked(caller, number) for number in range(10)])
    thread = BatchThread()
    eventually(lambda: BatchLine.objects.filter(status_code=200).count() == 1)

    Batch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    done = ended(caller, batch, "expired")
    thread.stop()

    assert len(lines_of(caller, done.output_file_id)) == 1
    missed = lines_of(caller, done.error_file_id)
    assert len(missed) == 9
    assert {(one["response"], one["error"]["code"]) for one in missed} == {(None, "batch_expired")}


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


def test_tags_and_metadata_go_with_a_batch(caller: Program, worker: BatchThread) -> None:
    batch = caller.openai.batches.create(
        input_file_id=upload(caller, asked(caller, 1)),
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"night": "7"},
        extra_headers={"X-Parley-Tags": "nightly"},
    )

    assert ended(caller, batch).metadata == {"night": "7"}
    assert UsageRecord.objects.get().tags == ["nightly"]


def test_the_key_parley_and_several_answers_hold_in_a_batch(
    caller: Program, worker: BatchThread
) -> None:
    lines = [asked(caller, 1, n=2, parley={"tags": ["own"]}), asked(caller, 2, parley={"x": 1})]

    done = ended(caller, begin(caller, *lines), "failed")
    assert done.errors is not None
    assert [one.param for one in done.errors.data or []] == ["parley.x"]
    done = ended(caller, begin(caller, lines[0]))

    [made] = lines_of(caller, done.output_file_id)
    assert [one["index"] for one in made["response"]["body"]["choices"]] == [0, 1]
    assert {tuple(row.tags) for row in UsageRecord.objects.all()} == {("own",)}


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


def test_another_worker_ends_what_one_has_begun(caller: Program) -> None:
    gate = Gate()
    caller.vendor.script(*[Answer()] * 5, Answer(gate=gate))
    batch = begin(caller, *[asked(caller, number) for number in range(20)])

    first = start()
    wait_for(lambda: BatchLine.objects.filter(status_code=200).count() == 5)
    first.kill()
    first.wait()
    gate.open()
    kept = dict(BatchLine.objects.filter(status_code=200).values_list("custom_id", "result"))
    second = start()
    done = ended(caller, batch)
    wait_for(lambda: not UsageRecord.objects.filter(state=UsageState.STARTED).exists())
    second.terminate()

    assert second.wait(PATIENCE) == 0
    results = lines_of(caller, done.output_file_id)
    assert [one["custom_id"] for one in results] == [f"c{number}" for number in range(20)]
    by_id = {one["custom_id"]: one for one in results}
    assert all(by_id[name] == json.loads(str(text)) for name, text in kept.items())
    assert books.differences() == []


def start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "worker"],
        cwd=settings.BASE_DIR,
        env=environment(PARLEY_LEASE_SECONDS="2"),
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE * 2
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
