"""A process of its own, in which a pattern of staff runs on texts that are made to hurt it.

Ends with 0 if all went quickly, else with 1. It is started by `llm.guardrails.patterns`.
"""

import itertools
import re
import sys
import time
from collections.abc import Iterator

MOST_SAMPLES = 14  # characters that texts are made of


def texts(pattern: str, size: int) -> Iterator[str]:
    """Yield texts of the pattern's own characters: alone, in pairs, in runs of every length."""
    own = re.sub(r"\\.|[][(){}?*+|^$\\]", "", pattern)
    samples = list(dict.fromkeys("a1 -." + own))[:MOST_SAMPLES]
    pairs = ["".join(pair) for pair in itertools.permutations(samples, 2)]
    for unit in [*samples, *pairs, "".join(samples), own or "a"]:
        yield (unit * size)[: size - 1] + "\0"
    for sample in samples:
        runs = "\0".join(sample * length for length in range(64))
        for start in range(0, len(runs), size):
            yield runs[start : start + size]


def main() -> int:
    """Return whether the pattern was too slow once."""
    pattern, size, slowest = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    compiled = re.compile(pattern, re.IGNORECASE)
    for text in texts(pattern, size):
        began = time.process_time()
        for _ in compiled.finditer(text):
            pass
        if time.process_time() - began > slowest:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
