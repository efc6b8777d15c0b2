"""A batch file run to its end by one process, or until somebody says stop."""

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from accounts.principal import Principal
from core.errors import AppError
from gateway.batches import asking, lines
from gateway.batches.lines import Line, Result
from gateway.batches.progress import Progress
from gateway.batches.results import Results
from llm import parallel
from llm.types import Call


@dataclass(frozen=True, slots=True)
class Run:
    """What is run, for whom and how fast."""

    source: Path
    results: Results
    principal: Principal
    name: str  # the request ids of all calls begin with it
    concurrency: int
    per_second: float | None

    async def work(self, progress: Progress) -> None:
        """Ask every line that has no result yet; raise `FileProblem` where one cannot be kept."""

        async def ask(numbered: tuple[int, Line]) -> Result:
            number, line = numbered
            call = Call(
                principal=self.principal,
                surface=asking.SURFACE,
                request_id=f"{self.name}{number}",
            )
            result = await asking.ask(line, call)
            # Here, so that nobody can be stopped between the answer and its place in the file.
            self.results.append(result)
            return result

        with self.source.open("rb") as file:
            todo = parallel.run_all(
                self._open_lines(file),
                ask,
                concurrency=self.concurrency,
                per_second=self.per_second,
            )
            async with aclosing(todo) as done:
                async for one in done:
                    if isinstance(one.result, AppError):
                        raise one.result
                    progress.count(one.result)

    def _open_lines(self, file: BinaryIO) -> Iterator[tuple[int, Line]]:
        for number, text in lines.each(file):
            line = lines.read(text)
            if line.custom_id not in self.results.done:
                yield number, line
