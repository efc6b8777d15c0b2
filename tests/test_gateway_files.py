"""`/v1/files`: uploads of every kind of badness, what is kept of them, and for how long."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, Organization
from accounts.principal import Principal
from core.errors import AppError
from gateway.batches import services as batches
from gateway.files import forms, receiving, services
from gateway.files.consumers import FileUpload
from gateway.files.forms import Upload
from gateway.models import Batch, BatchLine, BatchState, File
from tests.batch_support import jsonl, line
from tests.gateway import Program, program
from tests.llm_support import PATIENCE
from tests.servers import Site
from tests.vendor import FakeVendor

BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
PURPOSE = 'form-data; name="purpose"'
FILE = 'form-data; name="file"; filename="a.jsonl"'


def form(*parts: tuple[str, bytes]) -> bytes:
    """Return the body of a form."""
    written = b"".join(
        b"--%s\r\nContent-Disposition: %s\r\n\r\n%s\r\n"
        % (BOUNDARY.encode(), about.encode(), content)
        for about, content in parts
    )
    return written + f"--{BOUNDARY}--\r\n".encode()


GOOD = form((PURPOSE, b"batch"), (FILE, b'{"a": 1}\n'))


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def contents() -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


@pytest.mark.processes
def test_the_life_of_a_file(caller: Program) -> None:
    before = len(contents())
    client = caller.openai
    content = jsonl(*map(line, range(5000)))  # several pieces on the way in and out

    file = client.files.create(
        file=("requests.jsonl", content),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 7200},
    )

    assert file.id.startswith("file-")
    assert (file.object, file.filename, file.purpose) == ("file", "requests.jsonl", "batch")
    assert (file.bytes, file.status) == (len(content), "processed")
    assert file.expires_at == file.created_at + 7200
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).content == content
    assert [one.id for one in client.files.list()] == [file.id]
    [kept] = [path for path in contents() if path.stat().st_size == len(content)]
    assert kept.stat().st_mode & 0o077 == 0  # nobody else's to read
    deleted = client.files.delete(file.id)
    assert (deleted.id, deleted.deleted) == (file.id, True)
    assert len(contents()) == before
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(file.id)


@pytest.mark.processes
def test_what_is_refused_by_name(caller: Program) -> None:
    wrong: list[tuple[bytes, str | None]] = [
        (form((PURPOSE, b"fine-tune"), (FILE, b"{}")), "purpose"),
        (form((FILE, b"{}")), "purpose"),
        (form((PURPOSE, b"batch")), "file"),
        (form((PURPOSE, b"batch"), ('form-data; name="file"', b"{}")), "file"),
        (form((PURPOSE, b"batch"), (FILE, b"")), "file"),
        (form((PURPOSE, b"batch"), (FILE, b"{}"), (FILE, b"{}")), "file"),
        (form((PURPOSE, b"batch"), (FILE, b"{}"), ('form-data; name="x"', b"1")), "x"),
        (form(('form-data; name="expires_after[seconds]"', b"7200"), (PURPOSE, b"batch")),
         "expires_after[anchor]"),
        (GOOD[:-20], None),
        (b"", None),
        (b"{}", None),
    ]  # fmt: skip
    headers = {"Content-Type": FORM}

    found = [caller.http.post("/files", content=body, headers=headers) for body, _ in wrong]

    assert [one.status_code for one in found] == [400] * len(wrong)
    assert [one.json()["error"]["param"] for one in found] == [param for _, param in wrong]
    as_json = caller.http.post("/files", json={"purpose": "batch"})
    assert "multipart/form-data" in as_json.json()["error"]["message"]
    put = caller.http.put("/files", content=b"")
    assert (put.status_code, put.headers["allow"]) == (405, "GET, POST")
    assert caller.http.get("/files/..%2f..%2fetc").status_code == 404
    strange = {"Content-Type": "multipart/form-data; boundary*=nobodys''frontier"}
    assert caller.http.post("/files", content=GOOD, headers=strange).status_code == 400
    assert caller.http.get("/files?purpose=%00").json()["data"] == []
    assert not File.objects.exists()


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_form_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(at, min(len(body), at + 8)))
        body[at:end] = data.draw(st.binary(max_size=8))
    content_type = data.draw(
        st.sampled_from([FORM, FORM.upper(), "multipart/form-data", "text/plain", ""])
        | st.text(max_size=30).map(lambda text: f"multipart/form-data; boundary={text}")
    )
    path = tmp_path_factory.mktemp("form") / "body"
    path.write_bytes(body)

    with path.open("rb") as opened:
        status = 200
        try:
            upload = forms.read(opened, content_type)
        except AppError as error:
            status = error.http_status
        else:
            upload.file.close()

    assert status in (200, 400)


# --- In this process, where a part of an upload can be sent and the next one held back ------------


@pytest.fixture
def key(acme: Organization) -> tuple[ApiKey, str]:
    return keys.create(organization=acme, name="trial")


def uploading(secret: str) -> Any:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/files",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {secret}".encode()),
            (b"content-type", FORM.encode()),
        ],
        "client": ("127.0.0.1", 1),
        "url_route": {"kwargs": {}},
    }
    communicator: Any = ApplicationCommunicator  # it has no types
    return communicator(FileUpload.as_asgi(), scope)


async def send(to: Any, body: bytes, *, is_last: bool = False) -> None:
    await to.send_input({"type": "http.request", "body": body, "more_body": not is_last})


async def answer(of: Any) -> tuple[int, Any]:
    start = await of.receive_output(PATIENCE)
    body = await of.receive_output(PATIENCE)
    return start["status"], json.loads(body["body"])


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_an_upload_in_pieces(key: tuple[ApiKey, str], pieces: int) -> None:
    to = uploading(key[1])
    size = -(-len(GOOD) // pieces)

    for start in range(0, len(GOOD), size):
        await send(to, GOOD[start : start + size], is_last=start + size >= len(GOOD))

    status, found = await answer(to)
    assert (status, found["bytes"], found["filename"]) == (200, 9, "a.jsonl")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_an_upload_that_is_too_large(key: tuple[ApiKey, str], settings: Settings) -> None:
    settings.MAX_FILE_BYTES = 100_000
    large = uploading(key[1])
    larger = uploading(key[1])
    head, tail = GOOD.split(b'{"a": 1}\n')

    await send(large, head + b"x" * 100_001 + tail, is_last=True)
    for _ in range(30):  # more than is even thrown away
        await send(larger, b"x" * 100_000)

    status, found = await answer(large)
    assert (status, found["error"]["param"]) == (400, "file")
    status, found = await answer(larger)
    assert (status, found["error"]["code"]) == (413, "request_too_large")
    assert not await File.objects.aexists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_an_upload_that_stops_is_ended(
    key: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "IDLE_SECONDS", 0.05)
    to = uploading(key[1])

    await send(to, GOOD[:50])

    status, found = await answer(to)
    assert (status, found["error"]["code"]) == (408, "upload_timeout")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_a_client_that_leaves_leaves_nothing(key: tuple[ApiKey, str]) -> None:
    to = uploading(key[1])

    await send(to, GOOD[:50])
    await to.send_input({"type": "http.disconnect"})
    await asyncio.wait_for(to.future, PATIENCE)

    assert not await File.objects.aexists()
    assert to.output_queue.empty()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_an_organization_has_so_much_room(
    key: tuple[ApiKey, str], settings: Settings
) -> None:
    settings.MAX_FILES_BYTES = 15
    statuses = []
    for _ in range(2):
        to = uploading(key[1])
        await send(to, GOOD, is_last=True)
        statuses.append(await answer(to))

    assert [status for status, _ in statuses] == [200, 400]
    assert statuses[1][1]["error"]["code"] == "storage_full"
    assert await File.objects.acount() == 1
    file = await File.objects.aget()
    await sync_to_async(services.delete)(file)


# --- For how long ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_has_expired_is_removed(acme: Organization) -> None:
    asker = Principal(organization_id=acme.pk, api_key_id=1)
    made = [
        services.create(Upload(SimpleUploadedFile("a.jsonl", b"{}"), None), asker) for _ in range(3)
    ]
    old, kept = File.objects.filter(pk__in=[one.pk for one in made[:2]]), made[2]
    old.update(expires_at=timezone.now() - timedelta(seconds=1))
    files = [Path(settings.MEDIA_ROOT) / str(one.content.name) for one in made]
    assert all(path.exists() for path in files)
    assert list(File.objects.visible_to(asker)) == [kept]

    assert services.remove_expired() == 2

    assert [path.exists() for path in files] == [False, False, True]
    assert services.remove_expired() == 0
    assert list(File.objects.all()) == [kept]
    services.delete(kept)


@pytest.mark.django_db(transaction=True)
def test_old_lines_go_with_their_files(acme: Organization) -> None:
    made = kept_by_staff, old, new = [
        Batch.objects.create(name="Trial", organization=acme, state=BatchState.FINISHED)
        for _ in range(3)
    ]
    for batch in made:
        BatchLine.objects.create(batch=batch, number=1, custom_id="a", body="{}")
    long_ago = timezone.now() - timedelta(days=settings.FILE_DAYS, seconds=1)
    Batch.objects.filter(pk__in=[kept_by_staff.pk, old.pk]).update(finished_at=long_ago)
    Batch.objects.filter(pk=new.pk).update(finished_at=timezone.now())
    for batch in (old, new):
        Batch.objects.filter(pk=batch.pk).update(input_file_id=batch.public_id)

    assert batches.remove_old_lines() == 1

    assert not BatchLine.objects.filter(batch=old).exists()
    assert BatchLine.objects.count() == 2
