"""`make test-clients`: the examples that need Node or other people's clients work as they stand."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from gateway.batches.thread import BatchThread
from tests.examples_support import Example, examples, variables
from tests.servers import Site

pytestmark = pytest.mark.processes

JAVASCRIPT = Path(__file__).parent / "javascript"
ENVIRONMENT = settings.BASE_DIR / ".venv-clients"
PATIENCE = 300.0  # seconds
COMMANDS: dict[str, list[Path | str]] = {
    "js": [ENVIRONMENT / "bin" / "node", "--input-type=module", "-"],
    "python": [ENVIRONMENT / "bin" / "python", "-"],
}
HERE = [
    *examples("js"),
    *(one for one in examples("python") if one.is_for_clients_of_others),
]


@pytest.fixture
def worker(site: Site) -> Iterator[BatchThread]:
    """The worker's batches, in a thread."""
    thread = BatchThread()
    yield thread
    thread.stop()


@pytest.mark.parametrize("example", HERE, ids=str)
def test_an_example_works(example: Example, site: Site, worker: BatchThread) -> None:
    ran = subprocess.run(
        COMMANDS[example.language],
        input=example.code,
        cwd=JAVASCRIPT,  # where its packages are
        env={"PATH": os.environ["PATH"], "HOME": str(ENVIRONMENT), **variables(site)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
