"""`requirements/install.py`: what a newcomer is told when the installation cannot work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from requirements.install import reason

INSTALL = Path(__file__).resolve().parent.parent / "requirements" / "install.py"


def test_a_refused_download_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    shutil.copy(INSTALL, tmp_path / "requirements")
    (tmp_path / "requirements" / "base.txt").write_text("django==5.2.19\n")

    result = subprocess.run(
        [sys.executable, "requirements/install.py", "base"],
        cwd=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # nobody listens there
            "PIP_RETRIES": "1",
        },
        capture_output=True,
        text=True,
    )

    assert result.returncode == 1
    assert result.stderr == (
        "Parley cannot be installed: the download was refused. "
        "Check the network, and pip's index and proxy settings.\n"
    )
    assert not (tmp_path / ".venv" / "installed-base").exists()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("OSError: [Errno 28] No space left on device: 'x'", "the disk is full"),
        ("error: command 'gcc' failed: No such file or directory", "Install a C compiler"),
        ("ERROR: No matching distribution found for uvicorn==0", "no release of a package"),
    ],
)
def test_a_known_failure_of_pip_is_told_in_plain_words(output: str, told: str) -> None:
    assert told in (reason(output) or "")


def test_an_unknown_failure_is_not_guessed() -> None:
    assert reason("something else") is None


@pytest.mark.parametrize("lock", ["base.txt", "dev.txt"])
def test_a_lock_pins_everything_and_names_no_address(lock: str) -> None:
    lines = (INSTALL.parent / lock).read_text().splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith("#")]

    assert all("==" in pin for pin in pins)
    assert not any("://" in line or line.startswith("-") for line in lines)
