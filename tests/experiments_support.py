"""A prompt with two versions, experiments on it, and what came of their arms."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Organization
from prompts import services as prompts
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.experiments import plans, services
from prompts.models import Experiment, Prompt
from prompts.releases import services as releases

CONTROL = {"name": "A", "version": 1, "is_control": True}
CHALLENGER = {"name": "B", "version": 2}


def make_prompt(organization: Organization, name: str = "greeting") -> Prompt:
    """Return a prompt whose version 1 is in production, and version 2 is not."""
    prompt = prompts.create_prompt(organization=organization, name=name)
    for text in ("Be kind.", "Be brief."):
        add_version(prompt, text)
    releases.move_label(prompt=prompt, number=1)
    return prompt


def add_version(prompt: Prompt, text: str, *variables: Variable) -> None:
    content = PromptContent(
        messages=(MessageTemplate("system", text),),
        variables=variables,
        settings=ModelSettings(temperature=0.5),
    )
    prompts.add_version(prompt=prompt, content=content)


def draft(
    prompt: Prompt, *, arms: Sequence[dict[str, Any]] = (CONTROL, CHALLENGER), **fields: Any
) -> Experiment:
    plan = plans.read({"name": "brevity", **fields, "arms": list(arms)})
    return services.create(prompt=prompt, plan=plan)


def started(prompt: Prompt, **fields: Any) -> Experiment:
    return services.start(experiment=draft(prompt, **fields))


def begun_earlier(experiment: Experiment, **ago: float) -> Experiment:
    """Let a running experiment have begun so long ago."""
    experiment.started_at = timezone.now() - timedelta(**ago)
    experiment.save(update_fields=["started_at"])
    return experiment


def changed(experiment: Experiment, **fields: Any) -> Experiment:
    """Edit some of an experiment's plan; `weights` are those of the arms by name."""
    weights = fields.pop("weights", {})
    known = plans.plan_of(experiment)
    arms = [{**arm_fields(arm), "weight": weights.get(arm.name, arm.weight)} for arm in known.arms]
    plan = plans.read({**known.stored(), "guardrail_metric": None, **fields, "arms": arms})
    return services.edit(experiment=experiment, plan=plan)


def arm_fields(arm: plans.ArmPlan) -> dict[str, Any]:
    return {**arm.stored(), "version": arm.version}
