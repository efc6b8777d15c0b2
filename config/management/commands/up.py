"""`make run`: a running product on this machine, with demo data, until Ctrl-C."""

import os
import socket
import time
from argparse import ArgumentParser
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
import redis
from django.conf import settings
from django.core.checks import Tags
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connection

from accounts.demo import DemoAccounts
from config import demo, environment, serving
from config.environment import env
from config.supervisor import Died, Stopped, Supervisor, ignore_stop_signals, stop_signals
from llm.provisioning import provision_from_environment

HOST = "127.0.0.1"  # demo passwords lie in a file: nobody else may reach this
PATIENCE = 60.0  # seconds for the web server to answer


class Command(BaseCommand):
    help = "Migrate, seed demo data, and run the web server and one worker until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=env.int("PORT", 8000))
        parser.add_argument(
            "--processes",
            type=int,
            default=env.int(
                "PARLEY_WEB_PROCESSES", os.cpu_count() or 1, validate=environment.at_least_one
            ),
        )

    def handle(self, *, port: int, processes: int, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError(
                "`up` is the local demo mode and does not run with PARLEY_ENV=production; "
                "README.md says how to run Parley in production."
            )
        _check_port(port)
        _check_services()
        supervisor = Supervisor()
        with stop_signals():
            try:
                self._run(supervisor, port, processes)
            except Stopped:
                self.stdout.write("\nStopping …")
            except Died as error:
                raise CommandError(str(error)) from None
            finally:
                ignore_stop_signals()
                supervisor.stop()
        self.stdout.write("Parley has stopped; nothing of it is left running.")

    def _run(self, supervisor: Supervisor, port: int, processes: int) -> None:
        self.stdout.write("Preparing the database …")
        call_command("migrate", verbosity=0)
        base_url = f"http://{HOST}:{port}"
        accounts = demo.install(base_url=base_url)
        for line in provision_from_environment():
            self.stdout.write(line)
        self.check(tags=[Tags.database], databases=[DEFAULT_DB_ALIAS])
        supervisor.start("worker", serving.worker_command())
        supervisor.start("web", serving.web_command(host=HOST, port=port, processes=processes))
        _wait_until_it_answers(f"{base_url}/healthz", supervisor)
        self.stdout.write(_welcome(base_url, accounts))
        supervisor.wait()


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Port {port} cannot be used ({error}). Choose another: PORT=8001 make run"
            ) from None


def _check_services() -> None:
    """Tell in one line that PostgreSQL or Redis is not there; without it nothing would work."""
    parameters = {"connect_timeout": 5, **connection.get_connection_params()}
    try:
        psycopg.connect(**parameters).close()
    except psycopg.OperationalError as error:
        raise CommandError(f"Check DATABASE_URL: {' '.join(str(error).split())}") from None
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise CommandError(f"Check REDIS_URL: {error}") from None


def _wait_until_it_answers(url: str, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        supervisor.check()
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - our own address
                return
        except (URLError, TimeoutError, ConnectionError):
            if time.monotonic() > deadline:
                raise Died("The web server did not answer in time.") from None
        time.sleep(0.1)


def _welcome(base_url: str, accounts: DemoAccounts) -> str:
    return f"""
Parley is running at {base_url}

  Staff    {accounts.staff_username} / {accounts.staff_password}    {base_url}/admin/
  User     {accounts.user_username} / {accounts.user_password}
  API key  {accounts.api_key}

  curl {base_url}/v1/chat/completions \\
    -H "Authorization: Bearer {accounts.api_key}" -H "Content-Type: application/json" \\
    -d '{{"model": "default", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

The same facts are in {demo.path()}. Ctrl-C stops everything.
"""
