"""Keys move into rows of their own when Parley is updated, and back when it is set back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection

from llm.credentials.secrets import newest_key_id

pytestmark = [pytest.mark.processes, pytest.mark.django_db]

SCRATCH = "parley_keys_migration"


@pytest.fixture
def scratch() -> Iterator[tuple[psycopg.Connection, str]]:
    """An empty database beside that of the tests, and its address."""
    known = connection.get_connection_params()
    place = {name: known[name] for name in ("host", "port", "user", "password") if known.get(name)}
    with psycopg.connect(**place, dbname="postgres", autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {SCRATCH}")
        with psycopg.connect(**place, dbname=SCRATCH, autocommit=True) as made:
            yield made, _url(place)
        server.execute(f"DROP DATABASE {SCRATCH} WITH (FORCE)")


def test_keys_move_out_and_back(scratch: tuple[psycopg.Connection, str]) -> None:
    database, url = scratch
    token = Fernet(settings.SECRET_KEYS[0]).encrypt(b"sk-secret").decode()
    _migrate("0001", url)
    for name, variable, stored in [
        ("both", "A_KEY", token),
        ("broken", "", "nonsense"),
        ("none", "", ""),
        ("variable", "B_KEY", ""),
    ]:
        database.execute(
            "INSERT INTO llm_provider (name, kind, base_url, api_version, is_active, created_at, "
            "api_key_env, api_key_encrypted) VALUES (%s, 'openai', '', '', true, now(), %s, %s)",
            [name, variable, stored],
        )

    _migrate("0002", url)

    assert database.execute(
        "SELECT p.name, c.name, environment_variable, secret_encrypted, secret_key_id "
        "FROM llm_credential c JOIN llm_provider p ON p.id = provider_id ORDER BY p.name"
    ).fetchall() == [
        ("both", "main", "A_KEY", token, newest_key_id()),
        ("broken", "main", "", "nonsense", ""),
        ("variable", "main", "B_KEY", "", ""),
    ]

    # Of several keys, the first one that is switched on goes back.
    switch_off = "UPDATE llm_credential SET is_active = false WHERE environment_variable = 'A_KEY'"
    database.execute(switch_off)
    for variable in ("SECOND", "THIRD"):
        database.execute(
            "INSERT INTO llm_credential (provider_id, name, environment_variable, "
            "secret_encrypted, secret_key_id, weight, is_active, set_aside_reason, "
            "set_aside_secret, created_at) SELECT id, %s, %s, '', '', 1, true, '', '', now() "
            "FROM llm_provider WHERE name = 'both'",
            [variable, variable],
        )
    _migrate("0001", url)

    assert database.execute(
        "SELECT name, api_key_env, api_key_encrypted FROM llm_provider ORDER BY name"
    ).fetchall() == [
        ("both", "SECOND", ""),
        ("broken", "", "nonsense"),
        ("none", "", ""),
        ("variable", "B_KEY", ""),
    ]


def _migrate(name: str, url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "llm", name, "--skip-checks", "-v", "0"]
    subprocess.run(command, check=True, env={**os.environ, "DATABASE_URL": url}, timeout=60)


def _url(place: dict[str, str]) -> str:
    host = quote(place.get("host", ""), safe="")
    port = f":{place['port']}" if "port" in place else ""
    password = f":{quote(place['password'])}" if "password" in place else ""
    return f"postgresql://{place.get('user', '')}{password}@{host}{port}/{SCRATCH}"
