"""`/v1/files` and `/v1/batches` as programs use them: the official client, with a real worker."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import openai
import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, User
from billing import books
from billing.models import UsageRecord, UsageState
from gateway.batches.thread import BatchThread
from gateway.models import Batch, BatchLine
from tests.batch_support import asked, begin, ended, lines_of, upload
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


@pytest.mark.parametrize(
    ("what", "code"),
    [("key", "invalid_api_key"), ("scope", "scope_missing"), ("room", "storage_full")],
)
def test_a_batch_ends_early_when_its_key_or_its_room_is_gone(
    caller: Program, worker: BatchThread, settings: Settings, what: str, code: str
) -> None:
    caller.vendor.script(Answer(), Answer(fault="stall"))
    key, client = of_same_person(caller)
    batch = begin(client, *[asked(caller, number) for number in range(20)])
    eventually(lambda: BatchLine.objects.filter(status_code=200).count() == 1)

    if what == "key":
        keys.revoke(key)
    elif what == "scope":
        keys.change(key, scopes=["chat"])
    else:
        settings.MAX_FILES_BYTES = 1
    done = ended(caller, batch, "failed")

    assert done.errors is not None
    assert done.errors.data is not None
    assert [(one.code, one.line) for one in done.errors.data] == [(code, None)]
    assert len(lines_of(caller, done.output_file_id)) == 1
    missed = lines_of(caller, done.error_file_id)
    assert len(missed) == 19
    assert {one["error"]["code"] for one in missed} == {code}
    assert len(caller.vendor.requests) < 20
    assert not UsageRecord.objects.exclude(state=UsageState.SETTLED).exists()


def test_a_batch_asks_only_for_models_that_its_key_still_has(
    caller: Program, worker: BatchThread
) -> None:
    gate = Gate()
    caller.vendor.script(*[Answer(gate=gate)] * 8)
    key, client = of_same_person(caller)
    batch = begin(client, *[asked(caller, number) for number in range(20)])
    eventually(lambda: len(caller.vendor.requests) == 8)
    keys.change(key, allowed_models="another")
    for _ in range(2):  # the first look may have begun before
        wait_for_the_next_look()

    gate.open()
    done = ended(caller, batch, "completed")

    assert len(lines_of(caller, done.output_file_id)) == 8
    missed = lines_of(caller, done.error_file_id)
    assert {one["response"]["body"]["error"]["code"] for one in missed} == {"model_not_found"}
    assert len(caller.vendor.requests) == 8


def wait_for_the_next_look() -> None:
    """Return when the worker has looked again whether the only batch may go on."""
    lease = Batch.objects.get().lease_expires_at
    eventually(lambda: Batch.objects.get().lease_expires_at != lease)


def of_same_person(caller: Program) -> tuple[ApiKey, Program]:
    """Return a new key of the caller, who sees what is made with it, and a program with it."""
    person = User.objects.get(api_keys__isnull=False)
    key, secret = keys.create(organization=caller.site.organization, name="Batches", user=person)
    return key, replace(caller, openai=caller.openai.with_options(api_key=secret))


def test_lines_and_results_take_of_the_organizations_room(
    caller: Program, worker: BatchThread
) -> None:
    batch = begin(caller, *[asked(caller, number) for number in range(3)])
    done = ended(caller, batch, "completed")

    kept = Batch.objects.get()
    written = len(caller.openai.files.content(str(done.output_file_id)).content)
    sent = caller.openai.files.retrieve(batch.input_file_id).bytes
    # Each result is a byte longer in its file, for the end of its line.
    assert kept.bytes == pytest.approx(sent + written, abs=3 * 2)


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


def test_another_worker_ends_what_one_has_begun(caller: Program) -> None:
    gate = Gate()
    caller.vendor.script(*[Answer()] * 5, Answer(gate=gate))
    batch = begin(caller, *[asked(caller, number) for number in range(20)])

    first = start()
    eventually(lambda: BatchLine.objects.filter(status_code=200).count() == 5)
    first.kill()
    first.wait()
    gate.open()
    kept = dict(BatchLine.objects.filter(status_code=200).values_list("custom_id", "result"))
    second = start()
    done = ended(caller, batch)
    eventually(lambda: not UsageRecord.objects.filter(state=UsageState.STARTED).exists())
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
