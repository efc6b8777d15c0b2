"""The demo data of a local installation, and the file that says how to get in."""

from pathlib import Path

from django.conf import settings

import accounts.demo
import billing.demo
import llm.demo
import prompts.demo
from accounts.demo import DemoAccounts


def path() -> Path:
    """Return where the sign-in facts of this installation lie."""
    return Path(settings.DATA_DIR) / "demo.json"


def seed(known: DemoAccounts | None = None) -> DemoAccounts:
    """Make what is missing of the demo data; what `known` says is kept where it still works."""
    made = accounts.demo.seed(known)
    llm.demo.seed()
    billing.demo.seed(made.organization)
    prompts.demo.seed(made.organization)
    return made
