"""`manage.py import_prompts`: prompts from files, with a plan first where one asks for it."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from core.errors import AppError
from prompts.files.archives import read_folder
from prompts.files.importing import FROM_FILES, import_bundle, plan_import
from prompts.files.reading import read_files
from prompts.files.telling import report
from prompts.management.commands.export_prompts import organization_named


class Command(BaseCommand):
    help = "Add the versions that files have and Parley has not, and move labels: all or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "path", type=Path, help="a folder, a zip, a YAML file, or the JSON of Langfuse"
        )
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--dry-run", action="store_true", help="show it, and write nothing")
        parser.add_argument(
            "--label",
            default=FROM_FILES,
            help="move this label alone, to what the files call production; `none`: no label. "
            "Without it: as the files have them",
        )
        parser.add_argument(
            "--by", metavar="USER", help="whose work it is; protected labels need somebody"
        )

    def handle(
        self,
        *,
        path: Path,
        organization: str,
        dry_run: bool,
        label: str,
        by: str | None,
        **options: Any,
    ) -> None:
        run = plan_import if dry_run else import_bundle
        try:
            outcome = run(
                organization=organization_named(organization),
                bundle=read_files(read_folder(path)),
                by=_person(by),
                labels=label,
            )
        except AppError as error:
            raise CommandError(error.message) from error
        self.stdout.write(report(outcome))
        if dry_run:
            self.stdout.write("Nothing was written: this was a dry run.")


def _person(name: str | None) -> User | None:
    person = User.objects.filter(username=name).first() if name else None
    if name and person is None:
        raise CommandError(f"There is nobody called “{name}”.")
    return person
