"""The examples of the documentation work as they stand there, in a shell and in Python.

Those for Node are run by `make test-clients` (`tests/clients/examples.py`).
"""

import gc
import subprocess
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from billing import prices
from gateway.batches.thread import BatchThread
from gateway.openapi import ASKED
from llm.models import Deployment
from llm.providers.demo import MODELS
from tests.examples_support import Example, examples, variables
from tests.servers import Site

pytestmark = pytest.mark.processes

TIMEOUT = 120  # seconds
QUICK = "demo-quick"  # the demo gives a model that it does not know no pace
OURS = [one for one in examples("sh", "python") if not one.is_for_clients_of_others]
# How each address is called: by curl, and by the official clients in Python and Node.
CALLS = {
    "create_chat_completion": ("/v1/chat/completions", "chat.completions.create"),
    "create_response": ("/v1/responses", "responses.create"),
    "retrieve_response": ("/v1/responses/$ID", "responses.retrieve"),
    "delete_response": ("-X DELETE /v1/responses/$ID", "responses.delete"),
    "create_message": ("/v1/messages", "messages.stream"),
    "count_tokens": ("/v1/messages/count_tokens", "messages.counttokens"),
    "create_embeddings": ("/v1/embeddings", "embeddings.create"),
    "list_models": ("/v1/models", "models.list"),
    "retrieve_model": ("/v1/models/default", "models.retrieve"),
    "list_files": ("/v1/files?purpose=batch", "files.list"),
    "upload_file": ("/v1/files", "files.create"),
    "retrieve_file": ("/v1/files/$FILE", "files.retrieve"),
    "delete_file": ("-X DELETE /v1/files/$FILE", "files.delete"),
    "download_file": ("output_file_id)/content", "files.content"),
    "list_batches": ("/v1/batches?limit=1", "batches.list"),
    "create_batch": ("/v1/batches", "batches.create"),
    "retrieve_batch": ("/v1/batches/$BATCH", "batches.retrieve"),
    "cancel_batch": ("value id)/cancel", "batches.cancel"),
}


@pytest.fixture
def ready(
    example: Example, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[pytest.MonkeyPatch]:
    """Stand in an empty folder with the variables set, beside a Parley that answers quickly."""
    if example.page != "batches.md":  # where a batch has to last until it is cancelled
        _make_quick()
    for name, value in variables(site).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    worker = BatchThread()
    yield monkeypatch
    worker.stop()


@pytest.mark.parametrize("example", [one for one in OURS if one.language == "python"], ids=str)
def test_an_example_in_python_works(
    example: Example, ready: object, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(example)

    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("example", [one for one in OURS if one.language == "sh"], ids=str)
def test_an_example_for_a_shell_works(
    example: Example, ready: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\n")
    ready.setenv("CURL_HOME", str(tmp_path))

    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", example.code], capture_output=True, text=True, timeout=TIMEOUT
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert '"error": {' not in done.stdout
    assert '"error":{' not in done.stdout


@pytest.mark.parametrize("language", ["sh", "python", "js"])
def test_every_address_has_an_example(language: str) -> None:
    codes = [example.code for example in examples(language)]

    missing = [one.name for one in ASKED if not _is_called(one.name, language, codes)]

    assert missing == []


def _make_quick() -> None:
    Deployment.objects.filter(model=MODELS[0]).update(model=QUICK)
    cent = Decimal("0.01")
    prices.set_price(provider="demo", model=QUICK, input_usd=cent, output_usd=cent, source="test")


def _run(example: Example) -> None:
    """Run a program here, which is quicker than in a process of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # its client is closed by its end
        exec(compile(example.code, str(example), "exec"), {"__name__": "__main__"})
        gc.collect()


def _is_called(operation: str, language: str, codes: list[str]) -> bool:
    by_curl, by_client = CALLS[operation]
    if language == "sh":
        return any(all(part in code for part in by_curl.split()) for code in codes)
    return any(by_client in code.replace("_", "").lower() for code in codes)
