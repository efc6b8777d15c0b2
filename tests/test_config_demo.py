"""`manage.py seed_demo`: once or twice, the demo is the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from accounts.models import ApiKey, User
from billing.models import Budget
from config import demo
from prompts import services as prompts
from prompts.models import Case, Experiment, PromptVersion

pytestmark = pytest.mark.django_db(transaction=True)


def test_seeding_twice_makes_and_changes_nothing_more(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path

    call_command("seed_demo", verbosity=0)
    first = json.loads((tmp_path / "demo.json").read_text())
    call_command("seed_demo", verbosity=0)

    assert json.loads((tmp_path / "demo.json").read_text()) == first
    assert User.objects.count() == 2
    made = (ApiKey, Budget, PromptVersion, Case, Experiment)
    assert [model.objects.count() for model in made] == [1, 1, 4, 3, 1]


def test_production_gets_no_demo_data(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    settings.IS_PRODUCTION = True

    with pytest.raises(CommandError, match="not for PARLEY_ENV=production"):
        call_command("seed_demo", verbosity=0)

    assert User.objects.count() == 0


async def test_the_sample_prompt_speaks_two_languages(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    made = await sync_to_async(demo.install)(base_url="http://localhost")
    values = {"customer": "Ada", "question": "Where is it?", "guidelines": ["No refunds"]}

    english, german = [
        await prompts.render_for_call(
            organization_id=made.organization.pk,
            name="support-reply",
            label="staging",
            variables=values,
            locale=locale,
        )
        for locale in ("en", "de")
    ]

    assert english.version == 2
    assert "Write short sentences." in str(english.messages[0].content)
    assert "- No refunds" in str(english.messages[0].content)
    assert german.messages[1].content == "Ada schreibt:\n\nWhere is it?"
