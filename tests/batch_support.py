"""What tests of batches share."""

import io
import json
import time
from pathlib import Path
from typing import Any

from openai.types import Batch as Shown

from tests.gateway import PATIENCE, Program

MODEL = "batch-model"


def line(number: int, **body: Any) -> dict[str, Any]:
    """Return a request of a batch file."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": f"Question {number}"}]}
    return {
        "custom_id": f"c{number}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {**asked, **body},
    }


def jsonl(*lines: Any) -> bytes:
    """Return the lines as a file has them; text is taken as it is."""
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    return "".join(f"{text}\n" for text in texts).encode()


def results(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of results."""
    return [json.loads(text) for text in path.read_text().splitlines()]


def ids(path: Path) -> list[str]:
    return [one["custom_id"] for one in results(path)]


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
