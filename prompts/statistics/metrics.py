"""What an experiment is measured by: which way is good, and how to say it."""

from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which way is good."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True)
class Words:
    """How to say what came out. `{by}` is where "18% " goes, or nothing."""

    less: str
    more: str
    worse: str  # goes on after "No sign that "


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio of two sums over units, as cost per request is dollars over requests."""

    name: str
    label: str
    better: Better
    words: Words
    is_share: bool = False  # the numerator is a part of the denominator
    tolerance: float = 0.1  # of a guardrail: the smallest change that matters, of control


COST = Metric(
    name="cost",
    label="cost",
    better=Better.LOWER,
    words=Words("costs {by}less", "costs {by}more", "it costs more"),
)
INPUT_TOKENS = Metric(
    name="input_tokens",
    label="input tokens",
    better=Better.LOWER,
    words=Words("reads {by}fewer tokens", "reads {by}more tokens", "it reads more tokens"),
)
OUTPUT_TOKENS = Metric(
    name="output_tokens",
    label="output tokens",
    better=Better.LOWER,
    words=Words("writes {by}fewer tokens", "writes {by}more tokens", "it writes more tokens"),
)
TTFT = Metric(
    name="ttft",
    label="time to the first token",
    better=Better.LOWER,
    words=Words(
        "begins to answer after {by}less time",
        "begins to answer after {by}more time",
        "it begins to answer later",
    ),
)
DURATION = Metric(
    name="duration",
    label="duration",
    better=Better.LOWER,
    words=Words("takes {by}less time", "takes {by}more time", "it takes more time"),
)
ERRORS = Metric(
    name="errors",
    label="errors",
    better=Better.LOWER,
    words=Words("fails {by}less often", "fails {by}more often", "it fails more often"),
    is_share=True,
    tolerance=0.25,
)
STOPS = Metric(
    name="stops",
    label="stopped answers",
    better=Better.LOWER,
    words=Words(
        "is stopped {by}less often", "is stopped {by}more often", "people stop it more often"
    ),
    is_share=True,
    tolerance=0.25,
)
REGENERATIONS = Metric(
    name="regenerations",
    label="answers asked for again",
    better=Better.LOWER,
    words=Words(
        "is asked again {by}less often",
        "is asked again {by}more often",
        "people ask again more often",
    ),
    is_share=True,
    tolerance=0.25,
)
THUMBS = Metric(
    name="thumbs",
    label="thumbs up",
    better=Better.HIGHER,
    words=Words("gets {by}fewer thumbs up", "gets {by}more thumbs up", "people like it less"),
    is_share=True,
)
CHECKS = Metric(
    name="checks",
    label="checks passed",
    better=Better.HIGHER,
    words=Words("passes {by}fewer checks", "passes {by}more checks", "it passes fewer checks"),
    is_share=True,
)
