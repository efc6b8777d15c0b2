"""Drafts into an organization's prompts: what would change, and the change itself.

A plan is the import, taken back: what it shows is what happens, with every rule asked.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import structlog
from django.db import transaction

from accounts.models import Organization, User
from core.errors import AppError
from core.history import write_down
from prompts import includes, services
from prompts.content import PromptContent
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid
from prompts.files.drafts import Bundle, LabelDraft, PromptDraft, VersionDraft
from prompts.files.errors import FileProblem, ImportChanged, ImportInvalid
from prompts.models import LABEL_NAME, PRODUCTION, MoveState, Prompt, PromptVersion
from prompts.releases import services as releases
from prompts.releases.errors import LabelUnchanged

FROM_FILES, NO_LABELS = "files", "none"


@dataclass(frozen=True, slots=True)
class VersionChange:
    """A version that is new, or is there already."""

    file: str
    number: int
    is_new: bool
    note: str
    content: PromptContent
    base: PromptContent | None  # what was said before; None: nothing was


@dataclass(frozen=True, slots=True)
class LabelChange:
    label: str
    number: int
    before: int | None
    state: str  # "moved", "proposed", "unchanged", or "waits" where it is proposed already


@dataclass(frozen=True, slots=True)
class PromptChange:
    name: str
    is_new: bool
    description: tuple[str, str] | None  # before and after, where they differ
    versions: tuple[VersionChange, ...]
    labels: tuple[LabelChange, ...]

    @property
    def new_versions(self) -> list[VersionChange]:
        return [version for version in self.versions if version.is_new]

    @property
    def moves(self) -> list[LabelChange]:
        return [label for label in self.labels if label.state in ("moved", "proposed")]

    @property
    def changes_something(self) -> bool:
        return bool(self.is_new or self.description or self.new_versions or self.moves)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import does, prompt by prompt."""

    prompts: tuple[PromptChange, ...]
    notes: tuple[FileProblem, ...]

    @property
    def changed(self) -> list[PromptChange]:
        return [prompt for prompt in self.prompts if prompt.changes_something]

    @property
    def fingerprint(self) -> str:
        """Return what is equal for two imports that do the same to the same."""
        return hashlib.sha256(msgspec.json.encode(self.prompts, order="sorted")).hexdigest()


def plan_import(
    *, organization: Organization, bundle: Bundle, by: User | None, labels: str = FROM_FILES
) -> Outcome:
    """Return what an import would do, and write nothing; raise as the import would."""
    with structlog.contextvars.bound_contextvars(dry_run=True), transaction.atomic():
        outcome = _Import(organization, by, labels).run(bundle)
        transaction.set_rollback(True)
    return outcome


@transaction.atomic
def import_bundle(
    *,
    organization: Organization,
    bundle: Bundle,
    by: User | None,
    labels: str = FROM_FILES,
    expected: str = "",
) -> Outcome:
    """Add the versions that are not there yet and move labels: all of it, or nothing.

    `labels` is "files", "none", or one label, which goes to what the files call production.
    `expected` is the fingerprint of the plan that somebody has seen. Raises `ImportInvalid` with
    all that is wrong, and `ImportChanged` where it would do something else than the plan.
    """
    outcome = _Import(organization, by, labels).run(bundle)
    if expected and outcome.fingerprint != expected:
        raise ImportChanged("Something has changed meanwhile: look at what it would do now.")
    return outcome


class _Import:
    """One run: it goes on after a problem, so that all are found."""

    def __init__(self, organization: Organization, by: User | None, labels: str) -> None:
        self.organization, self.by, self.labels = organization, by, labels
        self.problems: list[FileProblem] = []
        if not LABEL_NAME.fullmatch(labels):
            text = f"“{labels[:50]}” is no label."
            raise ImportInvalid([FileProblem("labels", None, "", text)])

    def run(self, bundle: Bundle) -> Outcome:
        # In one order, so that two imports wait for each other and do not lock each other out.
        drafts = sorted(bundle.prompts, key=lambda draft: draft.name)
        runs = [_PromptImport(self, draft) for draft in drafts]
        # First all versions, then labels, then what includes what: whatever the order is.
        for run in runs:
            run.add_versions()
        for run in runs:
            run.move_labels()
        for run in runs:
            run.check_includes()
        if self.problems:
            raise ImportInvalid(self.problems)
        for run in runs:
            run.write_down()
        return Outcome(tuple(run.change() for run in runs), bundle.notes)


class _PromptImport:
    """The part of an import that is about one prompt."""

    def __init__(self, whole: _Import, draft: PromptDraft) -> None:
        self.whole, self.draft = whole, draft
        known = Prompt.objects.filter(organization=whole.organization, name=draft.name)
        self.prompt = known.select_for_update().first()
        self.is_new = self.prompt is None
        self.description: tuple[str, str] | None = None
        self.versions: dict[str, VersionChange] = {}
        self.labels: list[LabelChange] = []

    def add_versions(self) -> None:
        """Append what no version says yet; in a history, what does not follow in its order."""
        prompt = self.prompt = self.prompt or services.create_prompt(
            organization=self.whole.organization,
            name=self.draft.name,
            description=self.draft.description or "",
        )
        self._describe(prompt)
        there = list(prompt.versions.order_by("number"))
        labelled = {
            label.name: label.version.content for label in prompt.labels.select_related("version")
        }
        passed = 0  # how many of those that are there a history has gone by
        for draft in self.draft.in_order():
            newest = there[-1].content if there else None
            found = _find(there, draft, passed)
            if found is None:
                there.append(self._append(prompt, draft))
            version = there[-1] if found is None else there[found]
            if draft.is_of_history:
                passed = len(there) - 1 if found is None else found
            self.versions[draft.name] = VersionChange(
                file=draft.source.file,
                number=version.number,
                is_new=found is None,
                note=draft.note,
                content=draft.content,
                base=labelled.get(draft.name, newest),
            )

    def move_labels(self) -> None:
        """Release each version that a label names, as the label's rule allows."""
        if self.prompt is None:
            return
        before = dict(self.prompt.labels.values_list("name", "version__number"))
        for name, draft in self._wanted():
            number = self.versions[draft.name].number
            try:
                state = self._release(self.prompt, name, number)
            except AppError as error:
                text = f"{error.message} Nothing is imported; labels can be left out of an import."
                self.whole.problems.append(draft.source.problem(text))
            else:
                self.labels.append(LabelChange(name, number, before.get(name), state))

    def check_includes(self) -> None:
        """Check what new versions include that can be asked for: labelled ones, and the newest."""
        current = {label.number for label in self.labels}
        current.add(max(version.number for version in self.versions.values()))
        for name, version in self.versions.items():
            if version.is_new and version.number in current:
                self._check_includes(self.draft.versions[name])

    def change(self) -> PromptChange:
        return PromptChange(
            name=self.draft.name,
            is_new=self.is_new,
            description=self.description,
            versions=tuple(self.versions.values()),
            labels=tuple(self.labels),
        )

    def write_down(self) -> None:
        """Tell the audit trail what was imported; moves of labels are told there anyway."""
        change = self.change()
        added = ", ".join(str(version.number) for version in change.new_versions)
        told = [f"Imported version {added}."] if added else []
        told += ["Imported its description."] if change.description else []
        if self.prompt is not None and told:
            write_down(self.prompt, self.whole.by, " ".join(told))

    def _describe(self, prompt: Prompt) -> None:
        wanted = self.draft.description
        if wanted is not None and wanted != prompt.description:
            self.description = (prompt.description, wanted)
            prompt.description = wanted
            prompt.save(update_fields=["description"])

    def _append(self, prompt: Prompt, draft: VersionDraft) -> PromptVersion:
        return services.append_version(
            prompt=prompt, content=draft.content, note=draft.note, author=self.whole.by
        )

    def _wanted(self) -> Iterator[tuple[str, VersionDraft]]:
        """Yield which label is to name which version."""
        if self.whole.labels == FROM_FILES:
            for label in self.draft.labels:
                yield label.name, label.version
        elif self.whole.labels != NO_LABELS:
            yield self.whole.labels, _in_production(self.draft.labels, self.draft.in_order())

    def _release(self, prompt: Prompt, name: str, number: int) -> str:
        open_moves = prompt.label_moves.open().filter(label=name, version__number=number)
        if open_moves.exists():
            return "waits"
        try:
            with transaction.atomic():
                move = releases.release(
                    prompt=prompt, number=number, by=self.whole.by, name=name, note="Imported."
                )
        except LabelUnchanged:
            return "unchanged"
        return "moved" if move.state == MoveState.DONE else "proposed"

    def _check_includes(self, draft: VersionDraft) -> None:
        try:
            includes.complete_new(
                compile_content(draft.content),
                name=self.draft.name,
                organization_id=self.whole.organization.pk,
            )
        except PromptContentInvalid as error:
            found = (draft.source.of_content(problem) for problem in error.problems)
            self.whole.problems += found


def _find(there: Sequence[PromptVersion], draft: VersionDraft, passed: int) -> int | None:
    """Return which version says what the draft says: the newest, or the next of a history."""
    places = range(passed, len(there)) if draft.is_of_history else range(len(there) - 1, -1, -1)
    return next((place for place in places if there[place].content == draft.content), None)


def _in_production(labels: Sequence[LabelDraft], versions: Sequence[VersionDraft]) -> VersionDraft:
    """Return what the files call production, or else the last version that they have."""
    found = (label.version for label in labels if label.name == PRODUCTION)
    return next(found, versions[-1])
