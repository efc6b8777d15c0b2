"""The file of results: appended to line by line, held by one run at a time, never left half."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from core.errors import AppError
from gateway.batches import lines
from gateway.batches.lines import Result, Written


class FileProblem(AppError):
    """A file cannot be read or written, or is not what it should be."""

    code = "file_problem"
    http_status = 400


class Results:
    """Results on disk: what is in the file when a process dies, is there for the next one."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self.done: set[str] = set()
        self.failed = 0
        self._file = file
        self._end = 0  # of the last whole line

    def load(self) -> None:
        """Read what is there; cut off half a line at the end. Raises `FileProblem`."""
        for text, found in _read(self.path):
            if found is None:
                break
            self.done.add(found.custom_id)
            self.failed += found.is_failure
            self._end += len(text)
        self._file.truncate(self._end)
        self._file.seek(self._end)
        if self._end and not _ends_a_line(self._file, self._end):
            self._write(b"\n")

    def append(self, result: Result) -> None:
        """Write a result; raise `FileProblem`, with the file as it was, where there is no room."""
        self._write(result.text + b"\n")
        self.done.add(result.custom_id)

    def close(self) -> None:
        """Let another run have the file."""
        self._file.close()

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise _problem(self.path, "cannot be written to", error) from None
        self._end += len(text)


def open_results(path: Path, *, retry_failed: bool) -> Results:
    """Return the file of results, made where there is none; raise `FileProblem`.

    With `retry_failed`, lines that failed are taken out, so that they are asked again.
    """
    path = path.resolve()  # a rename would replace a link, and not what it points at
    results = _open(path)
    if not (retry_failed and results.failed):
        return results
    try:
        _drop_failed(path)
    finally:
        results.close()
    return _open(path)


def _open(path: Path) -> Results:
    if not path.parent.is_dir():
        raise FileProblem(f"There is no folder {path.parent}.")
    if path.exists() and not path.is_file():
        raise FileProblem(f"{path} is not a file.")
    try:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
    except OSError as error:
        raise _problem(path, "cannot be written to", error) from None
    results = Results(path, file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        results.load()
    except BlockingIOError:
        results.close()
        raise FileProblem(f"Another run is writing to {path}.") from None
    except OSError as error:
        results.close()
        raise _problem(path, "cannot be used", error) from None
    except FileProblem:
        results.close()
        raise
    return results


def _read(path: Path) -> Iterator[tuple[bytes, Written | None]]:
    """Yield each line with what it says; the last one may be half a line: `None`."""
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            found = lines.written(text)
            is_half = not text.endswith(b"\n") and lines.may_be_cut_off(text)
            if found is None and not is_half:
                raise FileProblem(
                    f"{path} is not a file of results: line {number} is none. It was not touched."
                )
            yield text, found


def _drop_failed(path: Path) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as kept:
            shutil.copymode(path, draft)
            kept.writelines(text for text, found in _read(path) if found and not found.is_failure)
            kept.flush()
            os.fsync(kept.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise _problem(draft, "cannot be written", error) from None


def _ends_a_line(file: FileIO, end: int) -> bool:
    return os.pread(file.fileno(), 1, end - 1) == b"\n"


def _problem(path: Path, what: str, error: OSError) -> FileProblem:
    return FileProblem(f"{path} {what}: {error.strerror}.")
