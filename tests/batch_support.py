"""What tests of batches share."""

import json
from pathlib import Path
from typing import Any

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
