#!/usr/bin/env python
"""Run a management command, with PostgreSQL and Redis there while it runs."""

import os
import sys

from config.environment import read_dotenv
from core import embedded


def main() -> None:
    read_dotenv()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with embedded.services():
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    try:
        main()
    except embedded.ServiceUnavailable as error:
        sys.exit(f"Parley cannot start: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
