"""`make test-clients`: gbstats still says what `tests/test_prompts_statistics_gbstats.py` reads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

HERE = Path(__file__).parent
PYTHON = settings.BASE_DIR / ".venv-clients" / "bin" / "python"
RECORDED = json.loads((HERE.parent / "gbstats_answers.json").read_text())


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="gbstats needs a pandas without wheels here"
)
def test_gbstats_says_what_was_recorded() -> None:
    ran = subprocess.run(
        [PYTHON, HERE / "python" / "gbstats_answers.py"], capture_output=True, text=True, check=True
    )

    said = json.loads(ran.stdout)

    assert numbers(said) == pytest.approx(numbers(RECORDED), rel=1e-9)


def numbers(value: Any) -> list[float]:
    """Return all numbers in it, in order."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [number for part in parts for number in numbers(part)]
    return [] if isinstance(value, str) else [float(value)]
