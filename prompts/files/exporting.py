"""Prompts of an organization as files, which are the same as long as the prompts are."""

from collections.abc import Iterator, Sequence
from typing import Any

from accounts.models import Organization
from prompts.errors import PromptNotFound
from prompts.files.documents import write
from prompts.files.layout import folder, version_value
from prompts.models import Prompt, PromptLabel, PromptVersion


def export_folder(
    organization: Organization, names: Sequence[str] = (), *, all_versions: bool = False
) -> dict[str, str]:
    """Return the files of all prompts, or of those named, by path.

    Of a prompt they have the version behind each label, or all versions.
    """
    prompts = Prompt.objects.filter(organization=organization)
    if names:
        prompts = prompts.filter(name__in=names)
    files: dict[str, str] = {}
    # The order of the database's own language would be another one elsewhere.
    for prompt in sorted(prompts, key=lambda one: one.name):
        files |= folder(_exported(prompt, all_versions))
    if missing := [name for name in names if f"{name}/prompt.yaml" not in files]:
        raise PromptNotFound(f"There is no prompt “{missing[0]}”.", param="name")
    return files


def export_document(prompt: Prompt, *, all_versions: bool = False) -> str:
    """Return a prompt as one file."""
    return write(_exported(prompt, all_versions))


def _exported(prompt: Prompt, all_versions: bool) -> dict[str, Any]:
    """Return what files say of a prompt."""
    labels = sorted(prompt.labels.select_related("version"), key=lambda one: one.name)
    return {
        "name": prompt.name,
        "description": prompt.description,
        "labels": {
            label.name: {
                "version": _number(label.version) if all_versions else label.name,
                "hash": label.version.content.digest(),
            }
            for label in labels
        },
        "versions": dict(_all(prompt) if all_versions else _labelled(labels)),
    }


def _all(prompt: Prompt) -> Iterator[tuple[str, dict[str, Any]]]:
    for version in prompt.versions.order_by("number"):
        yield _number(version), version_value(version.content, version.note)


def _number(version: PromptVersion) -> str:
    return f"{version.number:04}"


def _labelled(labels: Sequence[PromptLabel]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the version of each label; those that say the same have the newest one's note.

    An import makes one version of them.
    """
    contents = {label.name: label.version.content for label in labels}
    newest: dict[str, PromptVersion] = {}
    for label in sorted(labels, key=lambda one: one.version.number):
        newest[contents[label.name].digest()] = label.version
    for name, content in contents.items():
        yield name, version_value(content, newest[content.digest()].note)
