"""The examples of the API's page work as they stand there."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from tests.servers import Site

pytestmark = pytest.mark.processes

PAGE = Path(settings.BASE_DIR, "docs", "api.md").read_text()
WRITTEN = "http://127.0.0.1:8000"
TIMEOUT = 120  # seconds


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_python_examples_get_answers(site: Site) -> None:
    names: dict[str, object] = {}
    first, *_ = found = examples("python")
    assert "client =" in first

    for code in found:
        here = code.replace(WRITTEN, site.url).replace("pk-...", site.api_key)
        exec(compile(here, "docs/api.md", "exec"), names)

        assert names.pop("answer").choices[0].message.content  # type: ignore[attr-defined]


def test_the_lines_for_a_shell_get_answers(site: Site) -> None:
    for code in examples("sh"):
        done = subprocess.run(
            ["/bin/sh", "-c", code.replace(WRITTEN, site.url)],
            env={**os.environ, "KEY": site.api_key},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )

        assert done.stdout.rstrip().endswith("data: [DONE]")
