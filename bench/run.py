"""`make bench`: the bare upstream and Parley side by side on one machine, in under two minutes."""

import json
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import installation, processes  # noqa: E402 - the root is on the path only now
from bench.installation import Installation  # noqa: E402
from config import serving  # noqa: E402

ROUNDS = 3
LOAD = [sys.executable, str(ROOT / "bench" / "load.py")]
UPSTREAM = [sys.executable, str(ROOT / "bench" / "upstream.py")]


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind of work, and what is read off it."""

    title: str
    options: str  # of load.py
    rate: str = ""  # the field that counts how much was done a second
    unit: str = ""
    times: tuple[str, ...] = ()  # fields in milliseconds
    only_one_process: bool = False


CALLS = Measure(
    "Calls, not streamed, 32 connections",
    "--connections 32 --tokens 20 --seconds 2",
    rate="calls_per_s",
    unit="call",
    times=("p50", "p99"),
)
TOKENS = Measure(
    "Streams of 300 tokens, 16 connections",
    "--connections 16 --tokens 300 --seconds 2 --stream",
    rate="tokens_per_s",
    unit="token",
)
ALONE = Measure(
    "One call at a time",
    "--connections 1 --tokens 20 --seconds 1",
    times=("p50", "p99"),
    only_one_process=True,
)
LIVELY = Measure(
    "100 streams, 20 tokens/s each: first token",
    "--connections 100 --tokens 20 --gap 50 --seconds 1.5 --stream",
    times=("ttft_p50", "ttft_p99"),
    only_one_process=True,
)
MEASURES = (CALLS, TOKENS, ALONE, LIVELY)


@dataclass(slots=True)
class Target:
    """Who is asked: the upstream itself, or Parley in front of it."""

    address: str
    key: str
    model: str
    watched: dict[str, psutil.Process] = field(default_factory=dict)
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: int = 0

    def load(self, measure: Measure) -> None:
        """Do the work once and keep what came of it, with the CPU time it took."""
        before = {name: processes.cpu_seconds(one) for name, one in self.watched.items()}
        command = [*LOAD, "--url", self.address, "--key", self.key, "--model", self.model]
        done = subprocess.run(
            [*command, *measure.options.split()], capture_output=True, text=True, check=True
        )
        result = json.loads(done.stdout)
        result["cpu"] = {
            name: processes.cpu_seconds(one) - before[name] for name, one in self.watched.items()
        }
        if result["errors"]:
            raise SystemExit(f"{measure.title} at {self.address}: {result['errors']}")
        self.calls += result["calls"]
        self.results.setdefault(measure.title, []).append(result)

    def median(self, measure: Measure, name: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(float(result[name]) for result in self.results[measure.title])

    def cpu_us(self, measure: Measure, name: str) -> float:
        """Return the CPU time per call or token, in microseconds."""
        done = measure.rate.removesuffix("_per_s")
        return statistics.median(
            float(result["cpu"][name] * 1e6 / result[done])
            for result in self.results[measure.title]
        )


def main() -> None:
    began_at = time.monotonic()
    signal.signal(signal.SIGTERM, _end)
    port = installation.free_port()
    upstream = f"http://127.0.0.1:{port}/v1"
    print("Preparing: upstream, PostgreSQL, Redis, migrations …", flush=True)
    with installation.fresh(upstream) as made:
        log = made.folder / "bench.log"
        with processes.running([*UPSTREAM, "--port", str(port)], upstream, log):
            calls = sum(_compare(made, upstream, log, count) for count in (1, 2))
            print(f"\n{installation.check_books(calls)}")
    print(f"Took {time.monotonic() - began_at:.0f} s on {psutil.cpu_count()} CPUs.")


def _compare(made: Installation, upstream: str, log: Path, count: int) -> int:
    """Measure Parley with so many web processes beside the upstream; return its calls."""
    port = installation.free_port()
    command = serving.web_command(host="127.0.0.1", port=port, processes=count)
    address = f"http://127.0.0.1:{port}"
    measures = [one for one in MEASURES if count == 1 or not one.only_one_process]
    with processes.running(command, f"{address}/healthz", log) as web:
        watched = {"Parley": web, "PostgreSQL": made.postgres}
        direct = Target(upstream, "none", installation.MODEL)
        parley = Target(f"{address}/v1", made.api_key, installation.MODEL, watched)
        parley.load(CALLS)  # warm-up, not counted
        parley.results.clear()
        for _ in range(ROUNDS):
            for measure in measures:
                direct.load(measure)
                parley.load(measure)
        memory = processes.memory_mb(web)
    _report(count, measures, direct, parley)
    print(f"{'Memory of the web processes':<48}{memory:>34,.0f} MB")
    return parley.calls


def _report(count: int, measures: list[Measure], direct: Target, parley: Target) -> None:
    noun = "process" if count == 1 else "processes"
    print(f"\nParley with {count} web {noun}, medians of {ROUNDS} rounds")
    print(f"{'':<48}{'direct':>12}{'Parley':>12}{'ratio':>10}   CPU of Parley + PostgreSQL")
    for measure in measures:
        print(measure.title)
        if measure.rate:
            here, there = parley.median(measure, measure.rate), direct.median(measure, measure.rate)
            own, books = (parley.cpu_us(measure, name) for name in ("Parley", "PostgreSQL"))
            label = f"  {measure.unit}s/s"
            cpu = f"{own:.1f} + {books:.1f} µs a {measure.unit}"
            print(f"{label:<48}{there:>12,.0f}{here:>12,.0f}{here / there:>9.2f}x   {cpu}")
        for name in measure.times:
            here, there = parley.median(measure, name), direct.median(measure, name)
            print(f"  {name + ', ms':<46}{there:>12.2f}{here:>12.2f}   +{here - there:.2f} ms")


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit("Stopped.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("Stopped.") from None
