"""Whether the calls of today suit every arm: a version may ask for what callers do not send."""

from prompts.content import PromptContent
from prompts.experiments.plans import Plan
from prompts.models import Prompt


def misfits(prompt: Prompt, plan: Plan) -> list[str]:
    """Return a sentence for each arm whose variables are others than those of control."""
    versions = {one.number: one.content for one in prompt.versions.all()}
    control = next((arm for arm in plan.arms if arm.is_control), None)
    if control is None:
        return []
    sent = versions[control.version]
    return [
        sentence
        for arm in plan.arms
        if arm is not control
        for sentence in _misfits(arm.name, versions[arm.version], control.name, sent)
    ]


def _misfits(arm: str, asked: PromptContent, control: str, sent: PromptContent) -> list[str]:
    known = {variable.name for variable in sent.variables}
    wanted = {variable.name for variable in asked.variables}
    lacking = [one.name for one in asked.variables if one.required and one.name not in known]
    refused = [one.name for one in sent.variables if one.name not in wanted]
    sentences = []
    if lacking:
        names = ", ".join(lacking)
        sentences.append(f"{arm} asks for {names}, and {control} does not: calls without it fail.")
    if refused:
        names = ", ".join(refused)
        sentences.append(f"{arm} does not know {names}, as {control} does: calls with it fail.")
    return sentences
