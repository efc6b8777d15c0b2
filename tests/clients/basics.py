"""`make test-clients`: the clients that people use run their basics against Parley, unchanged.

Each script is a client's own program in an environment of its own, which `make test-clients`
makes. It prints what came of each of its checks; here they are compared with what is asked of it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from tests.servers import Site

pytestmark = pytest.mark.processes

HERE = Path(__file__).parent
ENVIRONMENT = settings.BASE_DIR / ".venv-clients"
PATIENCE = 300.0  # seconds
ERRORS = {"error_400", "error_401", "error_404", "error_429"}
BASICS = {"chat", "stream", "tools", *ERRORS}
AI_SDK = {
    f"{form}_{check}"
    for form in ("chat", "responses")
    for check in ("chat", "stream", "tools", "turns", "structured", "error_404", "error_429")
}
CHECKS = {
    "python/openai_client.py": BASICS | {"models", "structured", "embeddings", "responses"},
    "python/anthropic_client.py": BASICS | {"count_tokens", "models"},
    "python/langchain_client.py": BASICS | {"structured", "embeddings"},
    "javascript/openai_client.mjs": BASICS | {"models", "structured", "embeddings", "responses"},
    "javascript/anthropic_client.mjs": BASICS,
    "javascript/ai_sdk.mjs": AI_SDK | {"embeddings", "error_400", "error_401"},
}


@pytest.mark.parametrize("script", CHECKS)
def test_a_client_works_unchanged(script: str, site: Site) -> None:
    results = _run(script, site)

    assert {name: result for name, result in results.items() if result != "ok"} == {}
    assert set(results) == CHECKS[script]


def _run(script: str, site: Site) -> dict[str, str]:
    """Return what came of each check of the script: "ok", or the error."""
    program = "python" if script.endswith(".py") else "node"
    ran = subprocess.run(
        [ENVIRONMENT / "bin" / program, HERE / script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(ENVIRONMENT),
            "PARLEY_URL": site.url,
            "PARLEY_KEY": site.api_key,
        },
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    results: dict[str, str] = json.loads(ran.stdout)
    return results
