"""Typed reading of the environment: a wrong value fails at start-up with the variable's name."""

from pathlib import Path

from environs import Env

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()


def read_dotenv() -> None:
    """Load `.env` beside `manage.py`; what the environment already holds wins."""
    env.read_env(str(BASE_DIR / ".env"), recurse=False)
