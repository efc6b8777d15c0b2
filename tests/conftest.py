"""What every test may use, and what is said of tests that could not run."""

import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management.commands import flush
from django.db import OperationalError, connections

from accounts.models import Organization
from core import redis
from tests.servers import (
    Account,
    Server,
    Site,
    come_to_rest,
    end_connections,
    running_server,
)

if TYPE_CHECKING:
    from llm.types import Call
    from tests.chat_support import Person
    from tests.vendor import FakeVendor


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """pytest-django's test database; what other threads still hold of it ends with the run."""
    yield
    connections.close_all()
    end_connections()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords once and not a million times, which took half of the tests' time.

    How often is part of a hash, so server processes can check it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1)
        yield


# What Django's own flush does for each test with tables of its own takes half a second: it empties
# every table, and makes all permissions anew. TRUNCATE takes ten times as long as to delete the few
# rows of most tests, because it makes new files for each table and each of its indexes.
EMPTY_WHAT_IS_FULL = """
DO $$
DECLARE
    name text;
    is_large boolean;
BEGIN
    SET LOCAL session_replication_role = replica;  -- in whichever order, whatever refers to it
    FOR name, is_large IN
        SELECT oid::regclass::text, pg_relation_size(oid) > 1000000
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
            AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
        ORDER BY oid
    LOOP
        EXECUTE 'LOCK TABLE ' || name || ' IN EXCLUSIVE MODE';  -- wait for who is still writing
        IF is_large THEN
            EXECUTE 'TRUNCATE ' || name || ' CASCADE';
        ELSE
            EXECUTE 'DELETE FROM ' || name;
        END IF;
    END LOOP;
END $$
"""


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """Empty only what is full; again where a server process was just writing and both locked."""

    def handle(self: flush.Command, **options: Any) -> None:
        for is_last in (False, False, False, True):
            try:
                with connections[options["database"]].cursor() as cursor:
                    cursor.execute(EMPTY_WHAT_IS_FULL)
                return
            except OperationalError:
                if is_last:
                    raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush.Command, "handle", handle)
        yield


@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[Server]:
    """One server process for the whole run, on the test database."""
    with running_server() as running:
        yield running


@pytest.fixture
def site(transactional_db: None, server: Server) -> Iterator[Site]:
    """The running server with fresh demo data: the organization, two people and a key."""
    from config import demo

    made = demo.seed()
    yield Site(
        url=server.url,
        api_key=made.api_key,
        staff=Account(made.staff_username, made.staff_password),
        user=Account(made.user_username, made.user_password),
        organization=made.organization,
    )
    come_to_rest()


@pytest.fixture
def vendor() -> Iterator["FakeVendor"]:
    """A vendor's server; `vendor.serve("alias")` routes a name to it."""
    from tests.vendor import FakeVendor

    with FakeVendor("vendor") as running:
        yield running


@pytest.fixture
def spare() -> Iterator["FakeVendor"]:
    """A second vendor, to fall back to."""
    from tests.vendor import FakeVendor

    with FakeVendor("spare") as running:
        yield running


@pytest.fixture
async def tidy_loop() -> AsyncIterator[None]:
    """Leave no connection open when the test's event loop ends."""
    from billing import ledger
    from llm import service, service_tiers, tokens
    from llm.routing import routes

    routes.forget()
    tokens.forget()
    service_tiers.forget()
    yield
    await service.close()
    await ledger.drain()
    await sync_to_async(ledger.close)()
    await redis.close()
    await sync_to_async(connections.close_all)()


_passed = 0.0  # seconds that were not waited for


@pytest.fixture
def a_second_later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let what this process remembers of its settings be a second older, without a wait."""
    from core import cached

    def move_on() -> None:
        global _passed  # noqa: PLW0603 - time passes for all tests
        _passed += 1.0
        passed = _passed
        monkeypatch.setattr(cached, "clock", lambda: time.monotonic() + passed)

    return move_on


@pytest.fixture(autouse=True)
def nothing_is_remembered(a_second_later: Callable[[], None]) -> None:
    """Let no test see the settings of the one before, or suffer from its outage of Redis."""
    from core import throttle
    from llm import health
    from llm.caching import redis_outage
    from llm.limits import shared

    a_second_later()
    for outage in (throttle._outage, health._monitor._outage, redis_outage.outage, shared.outage):
        outage._is_on = False


@pytest.fixture
def impatient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry calls to vendors without long waits, and as often as a process that has just begun."""
    from llm import attempts, retry_budget

    retry_budget.forget()
    policy = attempts.Policy(base_delay=0.001)
    monkeypatch.setattr(attempts, "POLICY", policy)


@pytest.fixture
def no_retries(impatient_calls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each call to a vendor be one request."""
    from llm import attempts

    monkeypatch.setattr(attempts, "POLICY", attempts.Policy(retries=0))


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """A new organization."""
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def call(acme: Organization) -> "Call":
    """A program's call, paid by a new organization."""
    from tests.llm_support import call_by

    return call_by(acme)


@pytest.fixture
def alice(acme: Organization) -> "Person":
    """A person with an account, signed in, and the demo's models to ask."""
    from llm import demo
    from tests.chat_support import Person

    demo.seed()
    return Person("alice", acme)


@pytest.fixture
async def chat_loop(tidy_loop: None) -> AsyncIterator[None]:
    """Let no answer go on when the test's event loop ends."""
    from channels.layers import get_channel_layer

    from chat import generation

    yield
    await generation.shut_down()
    await get_channel_layer().flush()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium; without one the test does not run."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("there is no Chromium (install your system's chromium package)")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line a reason what could not run."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, count in reasons.items():
        terminalreporter.write_line(f"Not run: {count} tests, because {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything needed is installed (CI), a skipped test is a failed run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("PARLEY_SKIPS_FAIL") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
