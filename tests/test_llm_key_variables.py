"""Which environment variables may be a provider's key, and so be sent to where staff say."""

import pytest
from pytest_django import Settings

from llm import credentials, presets
from llm.models import Credential

SECRET = "sk-0123456789"
PRESET = [preset.environment_variable for preset in presets.ALL if preset.environment_variable]


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        *((name, "Parley's own") for name in ("PARLEY_SECRET_KEYS", "DATABASE_URL", "REDIS_URL")),
        *(("PARLEY_ANYTHING_KEY", "Parley's own"), ("EMAIL_HOST_PASSWORD", "Parley's own")),
        *(("AWS_SECRET_ACCESS_KEY", "the machine's own"), ("AWS_SESSION_TOKEN", "the machine's")),
        *(("MYSQL_PASSWORD", "not called"), ("PATH", "not called"), ("_KEY", "not called")),
    ],
)
def test_no_secret_of_our_own_or_of_the_machine_is_sent_as_a_key(
    variable: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)
    credential = Credential(environment_variable=variable)

    assert credentials.secret_of(credential) == ""
    assert reason in credentials.source(credential)


@pytest.mark.parametrize(
    "variable", [*PRESET, "OPENAI_KEY", "OPENAI_API_KEY_2", "ACME_TOKEN", "acme_secret"]
)
def test_a_variable_called_like_a_key_is_one(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)

    assert credentials.secret_of(Credential(environment_variable=variable)) == SECRET


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("ACME_PASS", SECRET), ("AWS_BEARER_TOKEN", SECRET), ("PGPASSWORD", "")],
)
def test_others_are_listed_by_who_runs_the_machine_but_never_our_own(
    variable: str, expected: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.KEY_VARIABLES = frozenset([variable])
    monkeypatch.setenv(variable, SECRET)

    assert credentials.secret_of(Credential(environment_variable=variable)) == expected
