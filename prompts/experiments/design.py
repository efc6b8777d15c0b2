"""How an experiment is judged: which figures, which of them must not get worse, how certainly."""

from prompts.models import Experiment, Metric, Unit
from prompts.statistics import metrics
from prompts.statistics.comparison import Design

METRICS: dict[Metric, metrics.Metric] = {
    Metric.COST: metrics.COST,
    Metric.TTFT: metrics.TTFT,
    Metric.DURATION: metrics.DURATION,
    Metric.INPUT_TOKENS: metrics.INPUT_TOKENS,
    Metric.OUTPUT_TOKENS: metrics.OUTPUT_TOKENS,
    Metric.ERRORS: metrics.ERRORS,
    Metric.STOPS: metrics.STOPS,
    Metric.REGENERATIONS: metrics.REGENERATIONS,
    Metric.THUMBS: metrics.THUMBS,
    Metric.CHECKS: metrics.CHECKS,
}
# What is said of every experiment: whether it fails more often, and whether people like it less.
ALWAYS_GUARDED = (Metric.ERRORS, Metric.THUMBS)
SEVERAL = {
    Unit.USER.value: "people",
    Unit.CONVERSATION.value: "conversations",
    Unit.KEY.value: "API keys",
}


def design_of(experiment: Experiment) -> Design:
    """Return how the experiment was planned to be judged."""
    primary = Metric(experiment.primary_metric)
    guarded = {*ALWAYS_GUARDED, experiment.guardrail_metric} - {primary, ""}
    return Design(
        primary=METRICS[primary],
        secondary=tuple(metric for name, metric in METRICS.items() if name != primary),
        guardrails=frozenset(map(str, guarded)),
        worth_seeing=experiment.smallest_effect,
        unit=SEVERAL[experiment.unit],
    )
