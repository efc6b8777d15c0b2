"""`manage.py export_prompts`: an organization's prompts as readable files, for git."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Organization
from core.errors import AppError
from prompts.files.archives import write_folder
from prompts.files.exporting import export_folder


class Command(BaseCommand):
    help = "Write prompts as YAML files; the same prompts make the same files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--prompt", action="append", default=[], help="only this one; repeat")
        parser.add_argument(
            "--all-versions", action="store_true", help="not only those that labels name"
        )

    def handle(
        self,
        *,
        folder: Path,
        organization: str,
        prompt: list[str],
        all_versions: bool,
        **options: Any,
    ) -> None:
        try:
            found = organization_named(organization)
            files = export_folder(found, prompt, all_versions=all_versions)
        except AppError as error:
            raise CommandError(error.message) from error
        write_folder(folder, files)
        prompts = len({path.split("/")[0] for path in files})
        self.stdout.write(f"{prompts} prompts in {len(files)} files below {folder}.")


def organization_named(slug: str) -> Organization:
    """Return the organization, or say that there is none."""
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no organization “{slug}”.")
    return found
