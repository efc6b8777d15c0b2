"""Every write to experiments."""

import secrets

import structlog
from django.contrib.admin.models import ADDITION, CHANGE
from django.db import transaction
from django.utils import timezone
from msgspec.structs import replace

from accounts.models import User
from core.errors import NotFound
from core.history import write_down
from prompts import services as prompts
from prompts.experiments import plans, results
from prompts.experiments.assignment import live_arm_of
from prompts.experiments.errors import (
    AnotherIsRunning,
    ExperimentExists,
    ExperimentInvalid,
    ExperimentNotDraft,
    ExperimentNotRunning,
)
from prompts.experiments.plans import Plan
from prompts.experiments.ramp import percent_after
from prompts.models import Arm, Experiment, ExperimentState, LabelMove, Prompt
from prompts.releases import services as releases
from prompts.releases.errors import LabelUnchanged, SecondPersonNeeded
from prompts.releases.rules import check_tests, rule_of

logger = structlog.get_logger(__name__)


@transaction.atomic
def create(*, prompt: Prompt, plan: Plan, created_by: User | None = None) -> Experiment:
    """Return a new draft."""
    plans.check(plan)
    _check_name(prompt, plan.name)
    experiment = Experiment.objects.create(
        prompt=prompt, salt=secrets.token_hex(16), created_by=created_by, **plan.stored()
    )
    _write_arms(experiment, plan)
    _log(experiment, created_by, "Drafted.", flag=ADDITION)
    return experiment


@transaction.atomic
def edit(*, experiment: Experiment, plan: Plan, edited_by: User | None = None) -> Experiment:
    """Change a draft as a whole, or the weights and the ramp of what runs."""
    plans.check(plan)
    experiment = _locked(experiment)
    before = plans.plan_of(experiment)
    if experiment.state == ExperimentState.DRAFT:
        _rewrite(experiment, plan, edited_by)
    elif experiment.state == ExperimentState.RUNNING:
        _change_course(experiment, before, plan)
    else:
        raise ExperimentNotDraft("The experiment has been stopped: it does not change any more.")
    if plan != before:
        _log(experiment, edited_by, _told(before, plan))
    return experiment


@transaction.atomic
def start(*, experiment: Experiment, started_by: User | None = None) -> Experiment:
    """Split the label's calls from now on; each unit keeps the arm it gets first.

    The label's rule holds for what arms say as it does for moves: raise `SecondPersonNeeded` to
    whoever planned it, and `PassedTestsNeeded` for a version without them.
    """
    experiment = _locked(experiment)
    if experiment.state != ExperimentState.DRAFT:
        raise ExperimentNotDraft("Only a draft can be started.")
    plans.check_complete(plans.plan_of(experiment))
    if not experiment.prompt.labels.filter(name=experiment.label).exists():
        raise ExperimentInvalid(
            f"No version of the prompt carries the label “{experiment.label}”.", param="label"
        )
    other = Experiment.objects.running().filter(prompt=experiment.prompt_id).first()
    if other is not None:
        raise AnotherIsRunning(f"“{other}” is running on this prompt; stop it first.")
    _check_rule(experiment, started_by)
    experiment.state = ExperimentState.RUNNING
    experiment.started_at = timezone.now()
    experiment.save(update_fields=["state", "started_at"])
    _log(experiment, started_by, "Started.")
    return experiment


@transaction.atomic
def stop(*, experiment: Experiment, reason: str, stopped_by: User | None = None) -> Experiment:
    """Let all calls have the label's version again, and keep the figures as they are now."""
    experiment = _locked(experiment)
    if experiment.state != ExperimentState.RUNNING:
        raise ExperimentNotRunning("Only a running experiment can be stopped.")
    experiment.state = ExperimentState.STOPPED
    experiment.stopped_at = timezone.now()
    experiment.stop_reason = reason.strip()[:300] or "No reason was given."
    experiment.results = results.stored(results.count(experiment))
    experiment.save(update_fields=["state", "stopped_at", "stop_reason", "results"])
    _log(experiment, stopped_by, f"Stopped: {experiment.stop_reason}")
    return experiment


@transaction.atomic
def promote(*, experiment: Experiment, arm: Arm, promoted_by: User) -> LabelMove | None:
    """Point the label at the arm's version, as its rule allows, and stop the experiment.

    The move may have to wait for a second person. `None`: the label is there already.
    """
    experiment = _locked(experiment)
    if experiment.state == ExperimentState.DRAFT:
        raise ExperimentNotRunning("It has not been started: there is no winner yet.")
    try:
        move = releases.release(
            prompt=experiment.prompt,
            number=_version_of(arm, promoted_by),
            by=promoted_by,
            name=experiment.label,
            note=f"Arm {arm} of the experiment {experiment}."[: releases.LONGEST_NOTE],
        )
    except LabelUnchanged:
        move = None
    if experiment.state == ExperimentState.RUNNING:
        stop(experiment=experiment, reason=f"Arm {arm} was promoted.", stopped_by=promoted_by)
    return move


@transaction.atomic
def delete(*, experiment: Experiment) -> None:
    """Remove a draft; what has run is kept."""
    experiment = _locked(experiment)
    if experiment.state != ExperimentState.DRAFT:
        raise ExperimentNotDraft("Only a draft can be deleted: what has run is kept.")
    experiment.delete()


def _version_of(arm: Arm, person: User) -> int:
    """Return the number of the version that says what the arm does, with its settings and model."""
    live, content = live_arm_of(arm), arm.version.content
    settings = live.over(content.settings)
    if live.model:
        settings = replace(settings, model=live.model)
    wanted = replace(content, settings=settings)
    known = arm.version.prompt.versions.filter(content_hash=wanted.digest()).newest_first().first()
    if known is not None:
        return arm.version.number if wanted == content else known.number
    note = f"Version {live.version} as the arm {arm} of an experiment had it."
    version = prompts.add_version(
        prompt=arm.version.prompt, content=wanted, note=note, author=person
    )
    return version.number


def _locked(experiment: Experiment) -> Experiment:
    """Return it as it is now; nobody else starts or changes one of this prompt meanwhile."""
    Prompt.objects.select_for_update().get(pk=experiment.prompt_id)
    found = Experiment.objects.select_related("prompt").filter(pk=experiment.pk).first()
    if found is None:
        raise NotFound("The experiment has been deleted.")
    return found


def _check_name(prompt: Prompt, name: str) -> None:
    if prompt.experiments.filter(name=name).exists():
        raise ExperimentExists(f"The prompt already has an experiment “{name}”.", param="name")


def _check_rule(experiment: Experiment, person: User | None) -> None:
    """Raise unless the label's rule lets callers hear what the arms say."""
    label, prompt = experiment.label, experiment.prompt
    rule = rule_of(prompt, label)
    if rule.needs_second_person and person in (None, experiment.created_by):
        raise SecondPersonNeeded(
            f"“{label}” needs a second person: somebody else has to start what you have planned."
        )
    in_force = prompt.labels.get(name=label).version_id
    for arm in experiment.arms.select_related("version").exclude(version=in_force):
        check_tests(rule, arm.version)


def _rewrite(experiment: Experiment, plan: Plan, person: User | None) -> None:
    if plan.name != experiment.name:
        _check_name(experiment.prompt, plan.name)
    experiment.created_by = person  # the plan is theirs now: a second person is another
    for field, value in plan.stored().items():
        setattr(experiment, field, value)
    experiment.save()
    experiment.arms.all().delete()
    _write_arms(experiment, plan)


def _write_arms(experiment: Experiment, plan: Plan) -> None:
    versions = {
        version.number: version
        for version in experiment.prompt.versions.filter(
            number__in=[arm.version for arm in plan.arms]
        )
    }
    for arm in plan.arms:
        if arm.version not in versions:
            raise ExperimentInvalid(f"The prompt has no version {arm.version}.", param="arms")
    Arm.objects.bulk_create(
        Arm(experiment=experiment, version=versions[arm.version], **arm.stored())
        for arm in plan.arms
    )


def _change_course(experiment: Experiment, before: Plan, plan: Plan) -> None:
    """Set new weights and a new ramp; nobody who has an arm loses it."""
    if plan.without_weights() != before.without_weights():
        raise ExperimentNotDraft("While it runs, only the weights and the ramp can be changed.")
    plans.check_complete(plan)
    if _percent_now(experiment, plan) < _percent_now(experiment, before):
        raise ExperimentInvalid(
            "The ramp only lets more take part: who is in stays in.", param="ramp"
        )
    experiment.ramp = plan.stored()["ramp"]
    experiment.save(update_fields=["ramp"])
    for arm in plan.arms:
        experiment.arms.filter(name=arm.name).update(weight=arm.weight)


def _percent_now(experiment: Experiment, plan: Plan) -> float:
    assert experiment.started_at is not None  # noqa: S101 - what runs has started
    hours = (timezone.now() - experiment.started_at).total_seconds() / 3600
    return percent_after(plan.ramp, hours)


def _told(before: Plan, after: Plan) -> str:
    """Return in words what was changed."""
    fields = (name for name in Plan.__struct_fields__ if name != "arms")
    changed = [
        f"{name.replace('_', ' ')}: {getattr(after, name) or 'none'}"
        for name in fields
        if getattr(before, name) != getattr(after, name)
    ]
    if before.arms != after.arms:
        changed.append("arms: " + ", ".join(_arm_in_words(arm) for arm in after.arms))
    return f"Changed {'; '.join(changed)}."


def _arm_in_words(arm: plans.ArmPlan) -> str:
    return f"{arm.name} (version {arm.version}, weight {arm.weight})"


def _log(experiment: Experiment, person: User | None, text: str, *, flag: int = CHANGE) -> None:
    """Put it into the history that the admin shows, if a person did it, and into the log."""
    logger.info("experiments.changed", experiment=experiment.name, what=text)
    write_down(experiment, person, text, flag)
