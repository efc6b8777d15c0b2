"""What a line of the log looks like where machines read it."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import logging.config, structlog
from decimal import Decimal
from core.logging import configure
logging.config.dictConfig(configure(as_json=True, level="{level}"))
structlog.contextvars.bind_contextvars(request_id="r-1")
logger = structlog.get_logger("llm.attempts")
logger.info("llm.attempt", cost_usd=Decimal("0.10"))
logging.getLogger("django.request").warning("Not Found: /x")
try:
    raise ValueError("half a character: \\ud83d")
except ValueError:
    logger.exception("llm.failed")
"""


def lines(level: str) -> list[dict[str, str]]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level)],
        capture_output=True,
        check=True,
        env=environment,
    )
    return [json.loads(line) for line in run.stderr.splitlines()]


def test_our_lines_and_the_libraries_are_one_json_object_each() -> None:
    ours, django, failed = lines("INFO")

    assert ours["event"] == "llm.attempt"
    assert (ours["level"], ours["request_id"], ours["cost_usd"]) == ("info", "r-1", "0.10")
    assert ours["timestamp"].endswith("Z")
    assert django["event"] == "Not Found: /x"
    assert "ValueError" in failed["exception"]


@pytest.mark.parametrize(("level", "count"), [("WARNING", 2), ("ERROR", 1)])
def test_lines_below_the_level_are_left_out(level: str, count: int) -> None:
    assert len(lines(level)) == count
