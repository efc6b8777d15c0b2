"""`manage.py seed_demo`: the demo's people, models, budget and prompts; safe to run twice."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demo
from config.environment import env


class Command(BaseCommand):
    help = "Make what is missing of the demo data, and write how to sign in."

    def handle(self, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("Demo data is for the local mode, not for PARLEY_ENV=production.")
        demo.install(base_url=f"http://127.0.0.1:{env.int('PORT', 8000)}")
        self.stdout.write(f"How to sign in is in {demo.path()}.")
