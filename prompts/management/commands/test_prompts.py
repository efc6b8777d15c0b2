"""`manage.py test_prompts --label staging --fail-under 0.9`: the prompts' own tests, for CI."""

import asyncio
import json
import logging
from argparse import ArgumentParser, ArgumentTypeError
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError

from accounts import named
from core.errors import AppError
from llm.closing import until_stopped
from prompts.models import PRODUCTION
from prompts.testing import runs, suite
from prompts.testing.suite import Outcome, Suite, Wish

FAILED, WRONG_USE = 1, 2  # exit codes


class Command(BaseCommand):
    help = (
        "Run the datasets of all prompts that carry a label, here and now. "
        "Exit code 1: too few cases passed; 2: there is nothing to run, or not as asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--label", default=PRODUCTION, help="Whose versions are tested.")
        parser.add_argument(
            "--fail-under", type=_share, default=Decimal(1), help="The least share: 0.9."
        )
        parser.add_argument("--organization", help="A slug; else all organizations.")
        parser.add_argument("--prompt", default="", help="This prompt alone.")
        parser.add_argument("--dataset", default="", help="Datasets of this name alone.")
        parser.add_argument(
            "--model", action="append", default=[], help="Again for more; else the version's own."
        )
        parser.add_argument(
            "--max-usd", type=_dollars, default=Decimal(1), help="What all may cost together."
        )
        parser.add_argument("--user", help="On whose behalf; else the organization's own.")
        parser.add_argument("--json", type=Path, metavar="FILE", help="Write the report here, too.")

    def handle(self, **options: Any) -> None:
        if options["verbosity"] < 2:
            _be_quiet()
        try:
            wish = _wish(options)
            doing = Suite(wish)
            stopped_by = asyncio.run(until_stopped(doing.work(suite.items(wish))))
        except AppError as error:
            raise CommandError(error.message, returncode=WRONG_USE) from None
        if stopped_by:
            self._leave(doing)
            raise SystemExit(128 + stopped_by)
        self._report(doing, options["json"])

    def _leave(self, doing: Suite) -> None:
        """Let no worker go on with what was stopped here."""
        if doing.current is not None:
            runs.cancel(run=doing.current)
        self.stderr.write("Stopped.")

    def _report(self, doing: Suite, path: Path | None) -> None:
        for outcome in doing.outcomes:
            self._tell(outcome, doing.wish.fail_under)
        spent = sum((one.run.spent_usd for one in doing.outcomes), Decimal(0))
        bad = [one for one in doing.outcomes if one.problems(doing.wish.fail_under)]
        good = len(doing.outcomes) - len(bad)
        self.stdout.write(f"{good} of {len(doing.outcomes)} datasets are good. ${spent:.6f} spent.")
        if path is not None:
            report = {"passed": not bad, "datasets": [one.as_json() for one in doing.outcomes]}
            path.write_text(json.dumps(report, indent=2) + "\n")
        if bad:
            raise SystemExit(FAILED)

    def _tell(self, outcome: Outcome, fail_under: Decimal) -> None:
        dataset = outcome.item.dataset
        self.stdout.write(
            f"{dataset.prompt} version {outcome.item.version}, {dataset} (run {outcome.run.pk})"
        )
        for column in outcome.columns:
            rate = "no checks" if column.rate is None else f"{column.rate:7.1%}"
            count = f"{column.passed}/{column.counted}"
            self.stdout.write(f"  {rate:>9}  {count:>9}  {column.model}")
        for change in outcome.differences.newly_failing:
            self.stdout.write(f"  newly failing: {change.case} ({change.model}): {change.why}")
        for change in outcome.differences.newly_passing:
            self.stdout.write(f"  newly passing: {change.case} ({change.model})")
        for problem in outcome.problems(fail_under):
            self.stdout.write(f"  {problem}")


def _wish(options: dict[str, Any]) -> Wish:
    slug, username = options["organization"], options["user"]
    organization = named.organization(slug) if slug else None
    if username and organization is None:
        raise CommandError("--user needs --organization.", returncode=WRONG_USE)
    return Wish(
        label=options["label"],
        organization=organization,
        prompt=options["prompt"],
        dataset=options["dataset"],
        models=tuple(dict.fromkeys(options["model"])),
        max_usd=options["max_usd"],
        fail_under=options["fail_under"],
        by=named.member(username, organization) if username and organization else None,
    )


def _be_quiet() -> None:
    """Leave the screen to the report: what failed is in the results, with its reason."""
    logging.getLogger().setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _share(text: str) -> Decimal:
    return _number(text, least=Decimal(0), most=Decimal(1))


def _dollars(text: str) -> Decimal:
    return _number(text, least=Decimal("0.000001"), most=runs.MOST_CAP)


def _number(text: str, *, least: Decimal, most: Decimal) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not least <= number <= most:
        raise ArgumentTypeError(f"a number from {least:f} to {most:f} is needed")
    return number
