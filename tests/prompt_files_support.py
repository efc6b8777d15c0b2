"""Prompts in organizations, and what files make of them."""

from collections.abc import Mapping

from accounts.models import Organization
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.files.importing import Outcome, import_bundle, plan_import
from prompts.files.reading import read_files
from prompts.models import Prompt
from prompts.releases import services as releases


def said(text: str, *variables: str) -> PromptContent:
    return PromptContent(
        messages=(MessageTemplate("system", text),),
        variables=tuple(Variable(name=name) for name in variables),
    )


def make(organization: Organization, name: str, *contents: PromptContent, **labels: int) -> Prompt:
    """Return a prompt with these versions, and labels at their numbers."""
    prompt = services.create_prompt(organization=organization, name=name, description="What for")
    for number, content in enumerate(contents, 1):
        services.add_version(prompt=prompt, content=content, note=f"Note {number}")
    for label, number in labels.items():
        releases.move_label(prompt=prompt, number=number, name=label)
    return prompt


def bring(organization: Organization, files: Mapping[str, str], **how: str) -> Outcome:
    """Import the files."""
    bundle = read_files({path: text.encode() for path, text in files.items()})
    return import_bundle(organization=organization, bundle=bundle, by=None, **how)


def plan(organization: Organization, files: Mapping[str, str], **how: str) -> Outcome:
    bundle = read_files({path: text.encode() for path, text in files.items()})
    return plan_import(organization=organization, bundle=bundle, by=None, **how)
