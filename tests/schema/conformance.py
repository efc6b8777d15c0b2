"""`make test-schema`: Schemathesis asks every address of the OpenAPI document, as two people.

It runs with all of its checks and with those of `hooks.py`, once with keys and once with sessions.
`EXAMPLES=500 SEED=7 make test-schema` looks longer and elsewhere; what it says is also in
`.data/schemathesis/`, with all that was refused, and by which rule.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from config.docs import document
from tests.schema.people import World
from tests.servers import running_server
from tests.vendor import FakeVendor

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

HERE = Path(__file__).parent
PROGRAM = settings.BASE_DIR / ".venv-clients" / "bin" / "schemathesis"
REPORTS = settings.BASE_DIR / ".data" / "schemathesis"
# Ids that stand in a body, which strangers must not use either.
IDS_IN_BODIES = ["POST /v1/batches", "POST /api/cache/wrong-hit/"]
PATIENCE = 6 * 3600.0  # seconds; a long run is asked for by hand
EXAMPLES = os.environ.get("EXAMPLES", "8")  # of each operation; its coverage phase has its own
SEED = os.environ.get("SEED", "20261121")
BOUNDS = (
    *("PARLEY_REST_PER_MINUTE", "PARLEY_REST_ANONYMOUS_PER_MINUTE"),
    *("PARLEY_WRONG_KEYS_PER_MINUTE", "PARLEY_MESSAGES_PER_MINUTE"),
)
UNBOUNDED = dict.fromkeys(BOUNDS, "0")
# What is asked with which credentials. A session opens nothing below /v1, and a key no keys.
PARTS = {
    "keys": ["--exclude-path-regex", "^/api/keys/"],
    "sessions": ["--include-path-regex", "^/api/"],
}


@pytest.mark.parametrize("part", PARTS)
def test_the_document_says_what_is_so(part: str, vendor: FakeVendor, tmp_path: Path) -> None:
    world = World(vendor)
    REPORTS.mkdir(parents=True, exist_ok=True)
    rules = REPORTS / f"{part}-rules.txt"
    rules.write_text("")

    with running_server(env=UNBOUNDED) as server:
        world.use(server.url)
        who = tmp_path / "who.json"
        who.write_text(json.dumps({"auth": world.credentials(part)}))
        told = {
            "named": world.named(),
            "ids_in_bodies": IDS_IN_BODIES,
            "own_keys": world.keys_of_strangers(),
        }
        (tmp_path / "world.json").write_text(json.dumps(told))
        configuration = tmp_path / "schemathesis.toml"
        configuration.write_text(_configuration(who, world.known()))
        ran = _run(server.url, configuration, rules, PARTS[part])

    (REPORTS / f"{part}.txt").write_text(ran.stdout)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    reached = set((tmp_path / "reached.txt").read_text().splitlines())
    assert reached == _with_ids(part), "What Alice never did, nobody could be refused."


def _with_ids(part: str) -> set[str]:
    """Return the operations on what belongs to somebody."""
    option, pattern = PARTS[part]
    return {
        f"{method.upper()} {path}"
        for path, methods in document()["paths"].items()
        for method in methods
        if ("{" in path or f"{method.upper()} {path}" in IDS_IN_BODIES)
        and bool(re.search(pattern, path)) is option.startswith("--include")
    }


def _run(
    url: str, configuration: Path, rules: Path, selected: list[str]
) -> "subprocess.CompletedProcess[str]":
    command = [
        *(str(PROGRAM), "--config-file", str(configuration), "run", f"{url}/api/schema/"),
        *("--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED, *selected),
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=configuration.parent,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(configuration.parent),
            "PYTHONPATH": str(HERE),
            "SCHEMATHESIS_HOOKS": "hooks",
            "PARLEY_WHO": str(configuration.parent / "who.json"),
            "PARLEY_WORLD": str(configuration.parent / "world.json"),
            "PARLEY_REACHED": str(configuration.parent / "reached.txt"),
            "PARLEY_RULES": str(rules),
        },
        check=False,
    )


def _configuration(who: Path, known: Mapping[str, Mapping[str, list[Any]]]) -> str:
    """Return Schemathesis' settings: who asks, and which ids there are to ask for."""
    lines = [
        "continue-on-failure = true",
        'suppress-health-check = ["all"]',
        "[auth.wfc]",
        f"path = {json.dumps(str(who))}",
        'user = "alice"',
        'peers = ["alice", "foreigner"]',
    ]
    for number, (path, parameters) in enumerate(known.items()):
        for name, values in parameters.items():
            title = f"{name}-{number}"
            lines += [
                f"[dictionaries.{title}]",
                f"values = {json.dumps(values)}",
                "[[operations]]",
                f"include-path-regex = {json.dumps(f'^{path}')}",
                "[operations.parameters]",
                f'"path.{name}" = {{ dictionary = "{title}", probability = 0.6 }}',
            ]
    return "\n".join(lines) + "\n"
