"""How far a run is: a bar on a terminal, elsewhere a plain line every few seconds."""

import time
from collections import Counter
from typing import TextIO

from tqdm import tqdm

from gateway.batches.lines import Result

EVERY = 5.0  # seconds between two plain lines


class Progress:
    """Counts results, and shows them."""

    def __init__(self, stream: TextIO, *, total: int, done: int) -> None:
        self.total = total
        self.done = done
        self.answered = 0
        self.failed: Counter[str] = Counter()  # by code
        self._stream = stream
        self._began_at = self._told_at = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=done, file=stream, unit="line", dynamic_ncols=True)
            if stream.isatty()
            else None
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_at

    def count(self, result: Result) -> None:
        """Count a result."""
        self.done += 1
        if result.is_failure:
            self.failed[result.code] += 1
        else:
            self.answered += 1
        if self._bar is not None:
            self._bar.set_postfix(failed=self.failed.total(), refresh=False)
            self._bar.update()
        elif time.monotonic() - self._told_at >= EVERY:
            self._told_at = time.monotonic()
            failed = self.failed.total()
            print(f"{self.done} of {self.total}, {failed} failed", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the bar as it is, and begin a new line."""
        if self._bar is not None:
            self._bar.close()

    def summary(self) -> str:
        """Return in words what came of this run."""
        failed = f"{self.failed.total()} failed"
        if self.failed:
            failed += (
                f" ({', '.join(f'{count} {code}' for code, count in self.failed.most_common())})"
            )
        return f"{self.answered} answered, {failed}"
