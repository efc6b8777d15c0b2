"""The demo data of a local installation, and the file that says how to get in."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings

import accounts.demo
import billing.demo
import llm.demo
import prompts.demo
import prompts.samples
from accounts.demo import DemoAccounts


def path() -> Path:
    """Return where the sign-in facts of this installation lie."""
    return Path(settings.DATA_DIR) / "demo.json"


def seed(**known: str) -> DemoAccounts:
    """Make what is missing of the demo data; `known` is what `accounts.demo.seed` takes."""
    made = accounts.demo.seed(**known)
    llm.demo.seed()
    billing.demo.seed(made.organization)
    prompts.demo.seed(made.organization)
    return made


def install(*, base_url: str) -> DemoAccounts:
    """Seed this installation and write its sign-in facts where only its owner can read them."""
    made = seed(**_known())
    prompts.samples.seed(made.organization)
    _write({"base_url": base_url, **_facts(made)})
    return made


def _facts(made: DemoAccounts) -> dict[str, Any]:
    return {
        "api_key": made.api_key,
        "staff": {"username": made.staff_username, "password": made.staff_password},
        "user": {"username": made.user_username, "password": made.user_password},
    }


def _known() -> dict[str, str]:
    """Return the secrets of an earlier start; nothing where the file is missing or damaged."""
    try:
        facts = json.loads(path().read_text())
        return {
            "staff_password": facts["staff"]["password"],
            "user_password": facts["user"]["password"],
            "api_key": facts["api_key"],
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(facts: dict[str, Any]) -> None:
    draft = path().with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(facts, indent=2) + "\n")
    draft.replace(path())
