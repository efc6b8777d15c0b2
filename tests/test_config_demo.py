"""`manage.py seed_demo`: once or twice, the demo is the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import ApiKey, User
from billing.models import Budget
from prompts.models import PromptVersion

pytestmark = pytest.mark.django_db(transaction=True)


def test_seeding_twice_makes_and_changes_nothing_more(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path

    call_command("seed_demo", verbosity=0)
    first = json.loads((tmp_path / "demo.json").read_text())
    call_command("seed_demo", verbosity=0)

    assert json.loads((tmp_path / "demo.json").read_text()) == first
    assert User.objects.count() == 2
    assert [model.objects.count() for model in (ApiKey, Budget, PromptVersion)] == [1, 1, 1]


def test_production_gets_no_demo_data(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    settings.IS_PRODUCTION = True

    with pytest.raises(CommandError, match="not for PARLEY_ENV=production"):
        call_command("seed_demo", verbosity=0)

    assert User.objects.count() == 0
