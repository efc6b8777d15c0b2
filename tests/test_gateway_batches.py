"""`manage.py run_batch`: a file of requests, a file of results, and every way to be stopped."""

import json
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from accounts.models import Membership, Organization, User
from billing import books
from billing.models import UsageRecord, UsageState
from gateway.batches.results import FileProblem, open_results
from tests.batch_support import MODEL, ids, jsonl, line, results
from tests.servers import environment
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

Popen = subprocess.Popen
PATIENCE = 120  # seconds; nobody waits so long but where something is broken
MESSAGE = {"role": "assistant", "content": "a\nb"}


class Folder:
    """A batch file, its results, and the command that makes them."""

    def __init__(self, path: Path) -> None:
        self.source = path / "in.jsonl"
        self.target = path / "out.jsonl"

    def write(self, *lines: Any) -> None:
        self.source.write_bytes(jsonl(*lines))

    def start(self, *options: str, terminal: int = subprocess.PIPE, **popen: Any) -> "Popen[str]":
        command = [sys.executable, "manage.py", "run_batch", str(self.source), str(self.target)]
        return Popen(
            [*command, "--org", "acme", *options],
            cwd=settings.BASE_DIR,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            **popen,
        )

    def run(self, *options: str) -> tuple[int, str, str]:
        """Run the command in this process; return its exit code, and what was said on both."""
        out, err = StringIO(), StringIO()
        command = ["run_batch", str(self.source), str(self.target), "--org", "acme", *options]
        try:
            call_command(*command, stdout=out, stderr=err, verbosity=2)
        except CommandError as error:
            return 1, out.getvalue(), f"{error}\n"
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
        return 0, out.getvalue(), err.getvalue()

    def lines_done(self) -> int:
        return self.target.read_bytes().count(b"\n") if self.target.exists() else 0


@pytest.fixture
def folder(tmp_path: Path, acme: Organization, vendor: FakeVendor) -> Folder:
    vendor.serve(MODEL)
    return Folder(tmp_path)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_line_gets_its_result(folder: Folder, vendor: FakeVendor, acme: Organization) -> None:
    folder.write(line(1), line(2, model="no-such-model"), line(3, temperature=0.5), "")

    code, out, err = folder.run("--concurrency", "2", "--rate", "100")

    assert (code, err) == (0, "")
    assert "2 answered, 1 failed (1 model_not_found), $0.00004, " in out
    by_id = {one["custom_id"]: one for one in results(folder.target)}
    good, wrong = by_id["c1"], by_id["c2"]
    assert good["error"] is None
    assert good["response"]["status_code"] == 200
    assert good["id"] == f"batch_req_{good['response']['request_id']}"
    assert good["response"]["body"]["choices"][0]["message"]["content"].startswith("Hello")
    assert wrong["response"]["status_code"] == 404
    assert wrong["response"]["body"]["error"]["code"] == "model_not_found"
    records = UsageRecord.objects.filter(organization=acme, surface="batch")
    assert {row.request_id for row in records} == {
        by_id[name]["response"]["request_id"] for name in ("c1", "c3")
    }
    assert [request.body.get("stream") for request in vendor.requests] == [None, None]


def test_a_person_can_be_named(folder: Folder, acme: Organization) -> None:
    ada = User.objects.create_user("ada")
    folder.write(line(1))
    code, _, err = folder.run("--user", "ada")
    assert (code, "There is no active user 'ada' in the organization 'acme'." in err) == (1, True)

    Membership.objects.create(user=ada, organization=acme)
    assert folder.run("--user", "ada")[0] == 0

    assert UsageRecord.objects.get().user_id == ada.pk


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line(1), line(2, temperature=3)], "Line 2: `temperature` is wrong: "),
        ([line(1), "", {"custom_id": "x"}], "Line 3: This is no line of a batch: "),
        ([line(1), "{oops"], "Line 2: This is no line of a batch: "),
        ([{**line(1), "url": "/v1/audio/speech"}], "Line 1: This is no line of a batch: "),
        ([line(1), {**line(2), "url": "/v1/embeddings"}], "Line 2: `url` must be /v1/chat/"),
        ([line(1, max_tokenz=5)], "Line 1: There is no parameter `max_tokenz`."),
        ([line(1), line(2), line(1)], "Line 3: The `custom_id` is that of line 1."),
        ([line(1, stream=True)], "Line 1: A batch gives whole answers: leave `stream` out."),
        ([r'{"custom_id": "\ud800", "body": {}}'], "Line 1: This is no line of a batch: "),
        ([], "There is no line in it."),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_paid_for(
    folder: Folder, vendor: FakeVendor, lines: list[Any], said: str
) -> None:
    folder.write(*lines)

    code, _, err = folder.run()

    assert code == 1
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert vendor.requests == []
    assert not folder.target.exists()


def test_files_that_cannot_be_used_are_named_in_one_line(
    folder: Folder, tmp_path: Path, vendor: FakeVendor
) -> None:
    def said() -> str:
        code, _, err = folder.run()
        assert (code, err.count("\n")) == (1, 1)
        return err

    assert f"There is no file {folder.source}." in said()
    folder.write(line(1))
    folder.target = folder.source
    assert "The results need a file of their own." in said()
    folder.target = tmp_path / "missing" / "out.jsonl"
    assert f"There is no folder {tmp_path / 'missing'}." in said()
    folder.target = tmp_path
    assert "is not a file." in said()
    folder.target = tmp_path / "letter.txt"
    folder.target.write_text("Dear Ada,")
    assert "It was not touched." in said()
    assert folder.target.read_text() == "Dear Ada,"
    assert vendor.requests == []


def test_a_second_run_asks_what_is_missing(folder: Folder, vendor: FakeVendor) -> None:
    folder.write(*map(line, range(3)))
    folder.run()
    whole = folder.target.read_text()
    kept, _, cut = whole.rstrip("\n").rpartition("\n")
    folder.target.write_text(f"{kept}\n{cut[: len(cut) // 2]}")
    folder.write(*map(line, range(4)))
    vendor.requests.clear()

    code, out, _ = folder.run()

    assert code == 0
    assert out.startswith("2 answered, 0 failed")
    assert sorted(ids(folder.target)) == ["c0", "c1", "c2", "c3"]
    assert len(vendor.requests) == 2
    assert folder.run()[1].startswith("0 answered, 0 failed, $0, ")


def test_failed_lines_are_asked_again_only_on_demand(folder: Folder, vendor: FakeVendor) -> None:
    refused = Answer(status=400, error={"message": "No.", "code": "nope"})
    vendor.script(Answer(), refused, Answer())
    folder.write(*map(line, range(3)))
    folder.run("--concurrency", "1")
    assert [one["response"]["status_code"] for one in results(folder.target)] == [200, 400, 200]
    folder.target.chmod(0o600)

    assert folder.run()[1].startswith("0 answered")
    assert folder.run("--retry-failed")[1].startswith("1 answered, 0 failed")

    assert ids(folder.target) == ["c0", "c2", "c1"]
    assert {one["response"]["status_code"] for one in results(folder.target)} == {200}
    assert folder.target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.target.parent.iterdir() if path.name[0] == "."] == []


def test_a_killed_run_loses_no_line_and_repeats_none(folder: Folder, vendor: FakeVendor) -> None:
    gate = Gate()
    vendor.script(*[Answer()] * 10, Answer(gate=gate))
    folder.write(*map(line, range(30)))
    process = folder.start("--concurrency", "4")
    wait_for(lambda: folder.lines_done() == 10 and len(vendor.requests) == 14)
    process.kill()
    process.communicate()
    kept = folder.lines_done()
    assert kept == 10
    gate.open()

    code, out, _ = folder.run()

    assert code == 0
    assert out.startswith(f"{30 - kept} answered")
    assert sorted(ids(folder.target)) == sorted(f"c{number}" for number in range(30))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_settles_and_says_how_to_go_on(
    folder: Folder, vendor: FakeVendor, sent: signal.Signals, code: int
) -> None:
    vendor.script(Answer(), Answer(), Answer(fault="stall"))
    folder.write(*map(line, range(9)))
    process = folder.start("--concurrency", "2")
    wait_for(lambda: len(vendor.requests) == 4 and folder.lines_done() == 2)

    process.send_signal(sent)
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == code
    assert out.startswith("2 answered, 0 failed, ")
    assert "Stopped. 2 of 9 lines have their result in " in err
    assert "the same command goes on from there" in err
    assert len(ids(folder.target)) == 2
    states = UsageRecord.objects.values_list("state", "outcome")
    assert (
        sorted(states)
        == [(UsageState.SETTLED, "stopped")] * 2 + [(UsageState.SETTLED, "success")] * 2
    )
    assert books.differences() == []


def test_a_full_disk_stops_the_run_and_loses_no_whole_line(
    folder: Folder, vendor: FakeVendor
) -> None:
    folder.write(*map(line, range(20)))

    def leave_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))

    process = folder.start("--concurrency", "1", preexec_fn=leave_little_room)
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "cannot be written to: File too large." in err
    done = len(ids(folder.target))
    assert 0 < done < 20
    assert f"{done} of 20 lines have their result" in err
    assert out.startswith(f"{done} answered")
    assert folder.run()[0] == 0
    assert len(set(ids(folder.target))) == 20


def test_two_runs_cannot_write_to_one_file(tmp_path: Path) -> None:
    first = open_results(tmp_path / "out.jsonl", retry_failed=False)

    with pytest.raises(FileProblem, match="Another run"):
        open_results(tmp_path / "out.jsonl", retry_failed=False)

    first.close()
    open_results(tmp_path / "out.jsonl", retry_failed=False).close()


def test_a_result_without_its_line_break_is_a_result(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(
        b'{"id":"batch_req_1","custom_id":"a","response":{"status_code":200},"error":null}'
    )

    found = open_results(path, retry_failed=False)

    assert found.done == {"a"}
    found.close()
    assert path.read_bytes().endswith(b"}\n")


def test_a_vendors_line_breaks_do_not_break_lines(folder: Folder, vendor: FakeVendor) -> None:
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a\nb"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    vendor.script(Answer(body=json.dumps(body, indent=2).encode()))
    folder.write(line(1))

    folder.run()

    (found,) = results(folder.target)
    assert found["response"]["body"] == body


def test_a_limit_is_waited_for(folder: Folder, acme: Organization) -> None:
    from llm.models import Limit, Scope

    Limit.objects.create(
        name="Few", scope=Scope.ORGANIZATION, organization=acme, requests=2, seconds=1
    )
    folder.write(*map(line, range(5)))

    code, out, _ = folder.run()

    assert code == 0
    assert out.startswith("5 answered, 0 failed")


def test_a_wrong_file_is_one_line_on_the_screen(folder: Folder) -> None:
    folder.write(line(1), line(2, n=9))

    process = folder.start()

    said = "CommandError: Line 2: `n` is at most 8 here.\n"
    assert process.communicate(timeout=PATIENCE) == ("", said)
    assert process.returncode == 1


def test_wrong_options_are_named(folder: Folder) -> None:
    folder.write(line(1))

    assert "a whole number from 1 to 1000 is needed" in folder.run("--concurrency", "0")[2]
    assert "a number above 0 is needed" in folder.run("--rate", "nan")[2]
    assert "There is no active organization 'other'." in folder.run("--org", "other")[2]


def test_progress_is_a_bar_on_a_terminal(folder: Folder) -> None:
    folder.write(line(1), line(2))
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))

    process = folder.start(terminal=theirs)
    process.wait(PATIENCE)

    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    process.communicate()
    assert "0/2" in shown
    assert "2/2" in shown
    assert "100%" in shown
