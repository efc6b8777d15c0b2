"""Files in a zip archive, or in a folder: bounded in number and size, and never outside of it."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from core.errors import InvalidRequest
from prompts.files.documents import MAX_BYTES
from prompts.files.reading import MAX_FILES, MAX_TOTAL

WRITTEN_AT = (1980, 1, 1, 0, 0, 0)  # the same each time, so that archives can be compared
ZIP = b"PK\x03\x04"


def pack(files: Mapping[str, str]) -> bytes:
    """Return the files as a zip archive, which is the same for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path, WRITTEN_AT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return buffer.getvalue()


def unpack(name: str, content: bytes) -> dict[str, bytes]:
    """Return the files of what somebody has uploaded: those of a zip archive, or the one file."""
    if len(content) > MAX_TOTAL:
        raise InvalidRequest(f"The file has more than {MAX_TOTAL:,} bytes.", param="file")
    if not content.startswith(ZIP):
        return {PurePosixPath(name).name: content}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _files(archive)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        raise InvalidRequest("The archive is broken, or it is encrypted.", param="file") from None


def _files(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MAX_FILES:
        raise InvalidRequest(f"The archive has more than {MAX_FILES:,} files.", param="file")
    files: dict[str, bytes] = {}
    left = MAX_TOTAL
    for entry in entries:
        path = _safe(entry.filename)
        if path in files:
            raise InvalidRequest(f"“{path}” is in the archive twice.", param="file")
        files[path] = _content(archive, entry, left)
        left -= len(files[path])
    return files


def _safe(name: str) -> str:
    """Return the name of a file in an archive; refuse one that leads out of it."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in name or len(name) > 500:
        raise InvalidRequest(f"“{name[:100]}” leads out of the archive.", param="file")
    return str(pure)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> bytes:
    """Return what a file has; what an archive says of its size is not to be trusted."""
    most = min(MAX_BYTES, left)
    with archive.open(entry) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InvalidRequest(f"“{entry.filename[:100]}” makes the archive too large.", param="file")
    return content


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder have these files: what it had of the same prompts before goes."""
    for prompt in {path.split("/")[0] for path in files}:
        for old in sorted((folder / prompt).glob("**/*.yaml")):
            if old.relative_to(folder).as_posix() not in files:
                old.unlink()
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


def read_folder(path: Path) -> dict[str, bytes]:
    """Return the files of a folder that could be of prompts, or the one file."""
    if path.is_file():
        return unpack(path.name, path.read_bytes())
    if not path.is_dir():
        raise InvalidRequest(f"There is no folder or file {path}.")
    files: dict[str, bytes] = {}
    for found in sorted(path.rglob("*")):
        inside = found.relative_to(path)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        if is_hidden or found.suffix not in (".yaml", ".yml", ".json") or not found.is_file():
            continue
        if found.is_symlink():
            raise InvalidRequest(f"{inside} is a link: put the file itself there.")
        files[str(inside.as_posix())] = _bounded(found)
        if len(files) > MAX_FILES:
            raise InvalidRequest(f"The folder has more than {MAX_FILES:,} files.")
    return files


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)  # one more is told to be too many
