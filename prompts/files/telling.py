"""What an import does, in words and as a unified diff of the files."""

from collections.abc import Iterator, Sequence

from prompts.files.importing import LabelChange, Outcome, PromptChange, VersionChange
from prompts.files.layout import written
from prompts.releases.runs import Effort, Run, runs

CONTEXT = 3  # unchanged lines around a change


def report(outcome: Outcome) -> str:
    """Return the whole of it as text, for a terminal."""
    lines = [f"Note: {note.sentence}" for note in outcome.notes]
    for prompt in outcome.prompts:
        lines += _prompt(prompt)
    return "\n".join([*lines, "", summary(outcome)])


def summary(outcome: Outcome) -> str:
    """Return one sentence: how much changes."""
    changed = outcome.changed
    if not changed:
        return "Nothing changes: all of it is there already."
    versions = sum(len(prompt.new_versions) for prompt in changed)
    new = sum(prompt.is_new for prompt in changed)
    moves = [label.state for prompt in changed for label in prompt.moves]
    counted = [
        (new, "new prompt", "new prompts"),
        (versions, "new version", "new versions"),
        (moves.count("moved"), "label moved", "labels moved"),
        (moves.count("proposed"), "move of a label proposed", "moves of labels proposed"),
    ]
    told = [f"{count} {one if count == 1 else more}" for count, one, more in counted if count]
    return f"{', '.join(told) or 'Descriptions change'}."


def label_words(change: LabelChange) -> str:
    """Return what becomes of a label."""
    before = f"from version {change.before} " if change.before else ""
    return {
        "moved": f"“{change.label}” moves {before}to version {change.number}",
        "proposed": f"“{change.label}” to version {change.number}: a second person has to confirm",
        "waits": f"“{change.label}” to version {change.number} waits for a second person already",
        "unchanged": f"“{change.label}” stays at version {change.number}",
    }[change.state]


def version_diff(change: VersionChange, effort: Effort) -> str:
    """Return what a version says that was not said before, as a unified diff."""
    old = written(change.base).splitlines(keepends=True) if change.base else []
    new = written(change.content).splitlines(keepends=True)
    return "".join(_unified(runs(old, new, effort)))


def _prompt(prompt: PromptChange) -> Iterator[str]:
    effort = Effort()
    is_same = not prompt.changes_something
    yield f"{prompt.name}: {'unchanged' if is_same else 'new' if prompt.is_new else 'changes'}"
    if prompt.description:
        yield f"  description: “{prompt.description[0]}” becomes “{prompt.description[1]}”"
    for version in prompt.new_versions:
        note = f": {version.note}" if version.note else ""
        yield f"  version {version.number}, new, of {version.file}{note}"
        yield from (f"    {line}" for line in version_diff(version, effort).splitlines())
    for label in prompt.labels:
        if label.state != "unchanged":
            yield f"  {label_words(label)}"


def _unified(found: Sequence[Run]) -> Iterator[str]:
    """Yield the lines of a diff; of what is unchanged, those next to a change."""
    for place, run in enumerate(found):
        if run.is_same:
            yield from _context(run.new, is_first=place == 0, is_last=place == len(found) - 1)
        else:
            yield from (f"-{line}" for line in run.old)
            yield from (f"+{line}" for line in run.new)


def _context(lines: Sequence[str], *, is_first: bool, is_last: bool) -> Iterator[str]:
    head = 0 if is_first else CONTEXT
    tail = 0 if is_last else CONTEXT
    if len(lines) <= head + tail:
        yield from (f" {line}" for line in lines)
        return
    yield from (f" {line}" for line in lines[:head])
    yield f"@@ {len(lines) - head - tail} unchanged lines @@\n"
    yield from (f" {line}" for line in lines[len(lines) - tail :])
