"""A program's batch in the worker's hands: its file in, its files out, whoever dies in between."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from accounts.models import Organization, User
from accounts.principal import Principal
from gateway.batches import leases, outputs, programs, services, validation
from gateway.batches.lines import Result
from gateway.batches.programs import TooManyBatches
from gateway.batches.services import BatchNotReady
from gateway.batches.wire import BatchRequest, shown
from gateway.files import services as files
from gateway.files.forms import Upload
from gateway.files.services import StorageFull
from gateway.models import Batch, BatchLine, BatchState, File
from gateway.paging import Page
from tests.batch_support import jsonl, line

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asker(acme: Organization) -> Principal:
    ada = User.objects.create_user("ada")
    ada.memberships.create(organization=acme)
    return Principal(organization_id=acme.pk, user_id=ada.pk, user_name="ada")


def make(asker: Principal, *content: Any) -> Batch:
    file = SimpleUploadedFile("requests.jsonl", jsonl(*content))
    kept = files.create(Upload(file, None), asker)
    asked = BatchRequest(
        input_file_id=f"file-{kept.pk.hex}",
        endpoint="/v1/chat/completions",
        completion_window="24h",
    )
    made: Batch = programs.create(asked, asker, ())
    return made


def claimed(holder: UUID) -> Batch:
    batch = leases.claim(holder)
    assert batch is not None
    return batch


def answer(batch: Batch, *codes: int) -> None:
    """Give the first lines results with these statuses."""
    for row, code in zip(BatchLine.objects.filter(batch=batch), codes, strict=False):
        text = f'{{"custom_id":"{row.custom_id}","response":{{"status_code":{code}}}}}'
        leases.save(row, Result(row.custom_id, text.encode(), code))


def finalizing(asker: Principal, *codes: int) -> None:
    """Have a batch whose lines have all been asked."""
    make(asker, *map(line, range(len(codes))))
    holder = uuid4()
    batch = claimed(holder)
    assert validation.validate(batch, holder)
    answer(batch, *codes)
    leases.release(batch, holder)
    assert Batch.objects.get().state == BatchState.FINALIZING


def stored() -> int:
    return sum(path.is_file() for path in Path(settings.MEDIA_ROOT).rglob("*"))


def text_of(key: UUID | None) -> str:
    with files.open_content(File.objects.get(pk__in=[key])) as content:
        return content.read().decode()


def take_over() -> None:
    """Let the lease run out, as after the death of who has it."""
    Batch.objects.update(lease_expires_at="2000-01-01T00:00:00Z")


def test_who_dies_while_it_looks_at_the_file_leaves_nothing(asker: Principal) -> None:
    make(asker, line(1), line(2))
    dead, alive = uuid4(), uuid4()
    first = claimed(dead)
    take_over()
    second = claimed(alive)

    assert not validation.validate(first, dead)
    assert not BatchLine.objects.exists()
    assert validation.validate(second, alive)

    assert BatchLine.objects.count() == 2
    assert Batch.objects.get().state == BatchState.RUNNING
    files.delete(File.objects.get())


def test_results_are_written_once_whoever_dies_over_them(asker: Principal) -> None:
    finalizing(asker, 200, 400, 200)
    before = stored()
    dead, alive = uuid4(), uuid4()
    first = claimed(dead)
    take_over()
    second = claimed(alive)

    outputs.write(first, dead)  # up to the last step, which it may not do any more
    assert Batch.objects.get().state == BatchState.FINALIZING
    assert File.objects.count() == 1
    outputs.write(second, alive)

    batch = Batch.objects.get()
    assert batch.state == BatchState.FINISHED
    assert batch.counts == {"total": 3, "completed": 2, "failed": 1}
    written = [text_of(key).count("\n") for key in (batch.output_file_id, batch.error_file_id)]
    assert written == [2, 1]
    assert text_of(batch.output_file_id).index('"c0"') < text_of(batch.output_file_id).index('"c2"')
    assert stored() == before + 2
    for file in File.objects.all():
        assert File.objects.visible_to(asker).filter(pk=file.pk).exists()
        files.delete(file)


def test_staff_have_failed_lines_of_a_programs_batch_asked_again(asker: Principal) -> None:
    finalizing(asker, 200, 400)
    holder = uuid4()
    outputs.write(claimed(holder), holder)
    batch = Batch.objects.get()
    leases.release(batch, holder)

    assert services.retry_failed(batch) == 1
    again = claimed(holder)
    answer(again, 200, 200)
    leases.release(again, holder)
    outputs.write(claimed(holder), holder)

    batch = Batch.objects.get()
    assert (batch.state, batch.error_file_id) == (BatchState.FINISHED, None)
    assert text_of(batch.output_file_id).count("\n") == 2
    assert File.objects.filter(purpose="batch_output").count() == 1
    for file in File.objects.all():
        files.delete(file)


def test_a_file_that_is_deleted_too_early_fails_its_batch(asker: Principal, client: Client) -> None:
    make(asker, line(1))
    files.delete(File.objects.get())
    holder = uuid4()
    client.force_login(User.objects.create_superuser("boss"))

    assert not validation.validate(claimed(holder), holder)

    batch = programs.page(Page(), None, asker)[0]
    told = shown(batch)
    assert told["status"] == "failed"
    assert "deleted" in told["errors"]["data"][0]["message"]
    assert told["failed_at"] is not None
    page = client.get(f"/admin/gateway/batch/{batch.pk}/change/").content.decode()
    assert "was deleted before it was read" in page


def test_a_batch_that_has_ended_is_not_cancelled(asker: Principal) -> None:
    make(asker, line(1))
    batch = Batch.objects.get()
    services.cancel(batch)
    assert Batch.objects.get().state == BatchState.CANCELLING
    with pytest.raises(BatchNotReady):
        services.cancel(batch)

    holder = uuid4()
    outputs.write(claimed(holder), holder)

    batch = Batch.objects.get()
    assert (batch.state, batch.output_file_id, batch.error_file_id) == ("cancelled", None, None)
    files.delete(File.objects.get())


@pytest.mark.parametrize("count", [0, 1, 250])
def test_errors_are_told_up_to_a_hundred(tmp_path: Path, count: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(jsonl(line(0), *["{"] * count))

    with path.open("rb") as opened:
        errors = validation.errors_of(opened, "/v1/chat/completions")

    assert [one["line"] for one in errors] == list(range(2, 2 + min(count, 100)))


def test_too_many_lines_and_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(validation, "MOST_LINES", 2)
    settings.MAX_BODY_BYTES = 1000
    path = tmp_path / "file"
    found = []
    for content in (jsonl(*map(line, range(3))), b"\n \n", b"x" * 10_000):
        path.write_bytes(content)
        with path.open("rb") as opened:
            found.append([one["message"] for one in validation.errors_of(opened, "")])

    assert [len(errors) for errors in found] == [1, 1, 1]
    assert "more than 2 lines" in found[0][0]
    assert "no line" in found[1][0]
    assert "longer than" in found[2][0]


def test_staff_see_a_programs_batch(asker: Principal, client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    make(asker, line(1))
    batch = Batch.objects.get()

    pages = [client.get(f"/admin/gateway/batch/{path}") for path in ("", f"{batch.pk}/change/")]
    assert [page.status_code for page in pages] == [200, 200]
    assert all("Validating" in page.content.decode() for page in pages)
    client.post(f"/admin/gateway/batch/{batch.pk}/cancel/")

    assert Batch.objects.get().state == BatchState.CANCELLING
    files.delete(File.objects.get())


def test_a_batch_whose_lines_have_no_room_is_not_made(asker: Principal, settings: Settings) -> None:
    content = jsonl(line(1))
    settings.MAX_FILES_BYTES = 3 * len(content)
    make(asker, line(1))  # its file and its lines; so there is room for one more file

    with pytest.raises(StorageFull) as caught:
        make(asker, line(1))

    assert caught.value.param == "input_file_id"
    settings.MAX_FILES_BYTES = 5 * len(content)
    assert make(asker, line(1))


def test_an_organization_has_only_so_many_batches_at_once(
    asker: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "MOST_UNFINISHED", 1)
    first = make(asker, line(1))

    with pytest.raises(TooManyBatches):
        make(asker, line(1))

    Batch.objects.filter(pk=first.pk).update(state=BatchState.FINISHED)
    assert make(asker, line(1))
