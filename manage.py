#!/usr/bin/env python
"""Run a management command, with PostgreSQL and Redis there while it runs."""

import os
import sys

from environs import EnvError

from config.environment import read_dotenv
from core import embedded


def main() -> None:
    read_dotenv()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with embedded.services():
        # Django is imported when its services run: its settings need their addresses.
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        try:
            execute_from_command_line(sys.argv)
        except (EnvError, ImproperlyConfigured) as error:
            sys.exit(f"Parley cannot start: {error}")


if __name__ == "__main__":
    try:
        main()
    except embedded.ServiceUnavailable as error:
        sys.exit(f"Parley cannot start: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
