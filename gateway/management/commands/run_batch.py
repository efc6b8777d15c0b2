"""`manage.py run_batch in.jsonl out.jsonl --org SLUG`: many calls from a file, into a file."""

import asyncio
import logging
import math
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Set
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import structlog
from django.core.management.base import BaseCommand, CommandError

from core.errors import AppError
from core.ids import new_id
from gateway.batches import costs, lines, payers
from gateway.batches.progress import Progress
from gateway.batches.results import FileProblem, open_results
from gateway.batches.run import Run
from llm.closing import STOPS, until_stopped

MOST_AT_ONCE = 1000


class Command(BaseCommand):
    help = (
        "Ask all lines of a file in OpenAI's batch format and append the results to another. "
        "Run it again to go on where it was stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, metavar="in.jsonl")
        parser.add_argument("target", type=Path, metavar="out.jsonl")
        parser.add_argument("--org", required=True, help="Who pays: the organization's slug.")
        parser.add_argument("--user", help="On whose behalf; else the organization's own.")
        parser.add_argument("--concurrency", type=_concurrency, default=8, help="Calls at once.")
        parser.add_argument("--rate", type=_rate, help="Calls begun a second, at most.")
        parser.add_argument(
            "--retry-failed", action="store_true", help="Ask lines that failed again."
        )

    def handle(self, *, source: Path, target: Path, **options: Any) -> None:
        if options["verbosity"] < 2:
            _be_quiet()
        with _signals_end():
            self._handle(source, target, options)

    def _handle(self, source: Path, target: Path, options: dict[str, Any]) -> None:
        try:
            principal = payers.find(options["org"], options["user"])
            asked = _check(source, target)
            results = open_results(target, retry_failed=options["retry_failed"])
        except AppError as error:
            raise CommandError(error.message) from None
        run = Run(
            source=source,
            results=results,
            principal=principal,
            name=f"batch-{new_id().hex}-",
            concurrency=options["concurrency"],
            per_second=options["rate"],
        )
        done = len(asked & results.done)
        with closing(results):
            self._run(run, Progress(sys.stderr, total=len(asked), done=done))

    def _run(self, run: Run, progress: Progress) -> None:
        problem, stopped_by = "", None
        try:
            stopped_by = asyncio.run(until_stopped(run.work(progress)))
        except FileProblem as error:
            problem = error.message
        finally:
            progress.close()
        cost = costs.in_words(run.name, run.principal.organization_id)
        self.stdout.write(f"{progress.summary()}, {cost}, {progress.seconds:.0f} seconds.")
        if problem or stopped_by:
            self.stderr.write(
                f"{problem or 'Stopped.'} {progress.done} of {progress.total} lines have their "
                f"result in {run.results.path}; the same command goes on from there."
            )
            raise SystemExit(128 + stopped_by if stopped_by else 1)


def _check(source: Path, target: Path) -> Set[str]:
    """Return the `custom_id` of all lines; raise what is wrong with the files, before any call."""
    try:
        if not source.is_file():
            raise FileProblem(f"There is no file {source}.")
        if target.exists() and source.samefile(target):
            raise FileProblem("The results need a file of their own.")
        with source.open("rb") as file:
            return lines.check(file).seen.keys()
    except OSError as error:
        raise FileProblem(f"{source} cannot be read: {error.strerror}.") from None


@contextmanager
def _signals_end() -> Iterator[None]:
    """Let signals end the process while no call is made: there is nothing to settle."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _be_quiet() -> None:
    """Leave the screen to the progress: what failed is in the results, with its reason."""
    logging.getLogger().setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _concurrency(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_AT_ONCE:
        return int(text)
    raise ArgumentTypeError(f"a whole number from 1 to {MOST_AT_ONCE} is needed")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise ArgumentTypeError("a number above 0 is needed")
    return rate
