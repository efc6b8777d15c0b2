"""The worker's look at running experiments: an arm that certainly harms is stopped."""

from prompts.experiments import results, services
from prompts.experiments.design import METRICS
from prompts.experiments.errors import ExperimentNotRunning
from prompts.experiments.figures import Figures, figures_of
from prompts.models import Experiment, Metric
from prompts.statistics.comparison import Arm, Comparison, compare_arm
from prompts.statistics.confidence import Confidence
from prompts.statistics.metrics import Better
from prompts.statistics.verdict import change
from prompts.statistics.wording import percent

DOUBT = 0.05  # how often an experiment without harm may be stopped, however long it is watched


def watch() -> int:
    """Keep the figures of what runs for lists; stop what crossed its guardrail; count the stops.

    Several workers may do it.
    """
    found = Experiment.objects.running().select_related("prompt").prefetch_related("arms")
    return sum(_look_at(experiment) for experiment in found)


def _look_at(experiment: Experiment) -> bool:
    kept = results.stored(results.count(experiment))
    Experiment.objects.running().filter(pk=experiment.pk).update(results=kept)
    harm = harm_of(experiment) if experiment.guardrail_metric else ""
    if not harm:
        return False
    try:
        services.stop(experiment=experiment, reason=harm)
    except ExperimentNotRunning:  # somebody was faster
        return False
    return True


def harm_of(experiment: Experiment) -> str:
    """Return in words which arm is certainly worse by more than the limit; empty: none is."""
    name, figures = Metric(experiment.guardrail_metric), figures_of(experiment)
    control = next(arm.name for arm in experiment.arms.all() if arm.is_control)
    others = [arm for arm in figures if arm != control]
    # Several arms are several chances to be wrong.
    confidence = Confidence(alpha=DOUBT / len(others))
    for arm in others:
        compared = compare_arm(
            METRICS[name],
            confidence,
            _side(control, figures[control], name),
            _side(arm, figures[arm], name),
        )
        if is_worse_by_more(compared, experiment.guardrail_limit):
            return _told(compared, experiment.guardrail_limit)
    return ""


def is_worse_by_more(compared: Comparison, limit: float) -> bool:
    """Return whether nothing that the data are compatible with is within the limit."""
    # Where control's figure is 0, no share of it can be a limit: any certain harm is beyond.
    found, allowed = compared.relative, limit
    if found is None:
        found, allowed = compared.difference, 0.0
    if found is None:
        return False
    if compared.metric.better is Better.LOWER:
        return found.interval.low > allowed
    return found.interval.high < -allowed


def _side(name: str, figures: Figures, metric: Metric) -> Arm:
    return Arm(name, {metric.value: figures.sums[metric]})


def _told(compared: Comparison, limit: float) -> str:
    allowed = f"up to {percent(limit)} worse" if limit else "nothing worse"
    return f"Stopped by the guardrail: {compared.arm} {change(compared)}. Allowed was {allowed}."
