"""Prompts that include others: which versions these are, and what the whole takes.

An included prompt is looked for under the label that the whole was asked for by, and where that
points nowhere, in production. A version by number includes what is in production.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from prompts import versions
from prompts.content import Variable
from prompts.engine.rendering import CompiledPrompt, Parts, PlacedInclude
from prompts.errors import Problem, PromptContentInvalid, PromptRenderFailed
from prompts.models import PRODUCTION, PromptLabel, PromptVersion

MAX_DEPTH = 5  # of prompts within each other
MAX_PROMPTS = 50  # that one includes, also by way of others

Needed = Mapping[str, Variable]


def complete(
    root: CompiledPrompt, *, name: str, organization_id: int, label: str
) -> CompiledPrompt:
    """Return the prompt with what it includes; raise `PromptRenderFailed` where that cannot be."""
    if not root.includes:
        return root
    parts = _gathered(root, organization_id, label)
    for _, reason in _broken(name, root, parts):
        raise PromptRenderFailed(f"The prompt “{name}” cannot be put together: {reason}")
    return _whole(root, parts)


def complete_new(
    root: CompiledPrompt, *, name: str, organization_id: int, label: str = PRODUCTION
) -> CompiledPrompt:
    """Return the same for what is not saved yet; raise `PromptContentInvalid` with each problem.

    A prompt that is not in production either counts with its newest version.
    """
    if not root.includes:
        return root
    parts = _gathered(root, organization_id, label, or_newest=True)
    problems = [_problem(one, reason) for one, reason in _broken(name, root, parts)]
    problems = problems or [*_misused(root, parts)]
    if problems:
        raise PromptContentInvalid(problems=problems)
    return _whole(root, parts)


def included_variables(whole: CompiledPrompt) -> tuple[Variable, ...]:
    """Return the variables that a prompt takes for what it includes, beside its own."""
    own = {variable.name for variable in whole.content.variables}
    return tuple(variable for variable in whole.variables if variable.name not in own)


def _whole(root: CompiledPrompt, parts: Parts) -> CompiledPrompt:
    needed = _needed(root, parts, {})
    return replace(root, parts=parts, variables=tuple(needed.values()))


def _needed(prompt: CompiledPrompt, parts: Parts, known: dict[str, Needed]) -> Needed:
    """Return what a prompt takes; where several declare a variable, the outermost one counts."""
    needed = {variable.name: variable for variable in prompt.content.variables}
    for include in prompt.includes:
        for name, variable in _shared(include, parts, known).items():
            needed.setdefault(name, variable)
    return needed


def _shared(include: PlacedInclude, parts: Parts, known: dict[str, Needed]) -> Needed:
    """Return what an included prompt takes from outside."""
    tag = include.tag
    if tag.is_alone:
        return {}
    needed = _needed_by(tag.name, parts, known)
    return {name: one for name, one in needed.items() if name not in tag.given}


def _needed_by(name: str, parts: Parts, known: dict[str, Needed]) -> Needed:
    """Return what an included prompt takes, worked out once however often it is included."""
    if name not in known:
        known[name] = _needed(parts[name], parts, known)
    return known[name]


def _gathered(
    root: CompiledPrompt, organization_id: int, label: str, *, or_newest: bool = False
) -> dict[str, CompiledPrompt]:
    """Return all that a prompt includes, by name, with a query or two for each level."""
    parts: dict[str, CompiledPrompt] = {}
    wanted = root.included
    while wanted and len(parts) <= MAX_PROMPTS:
        found = _labelled(organization_id, wanted, label)
        if or_newest and wanted - found.keys():
            found = _newest(organization_id, wanted - found.keys()) | found
        here = {name: versions.version(pk).compiled for name, pk in found.items()}
        parts |= here
        wanted = {name for part in here.values() for name in part.included} - parts.keys()
    return parts


def _labelled(organization_id: int, names: Set[str], label: str) -> dict[str, int]:
    """Return the version of each prompt that has the label, else the one in production."""
    labels = PromptLabel.objects.filter(
        prompt__organization_id=organization_id,
        prompt__name__in=names,
        name__in={label, PRODUCTION},
    )
    found = [*labels.order_by("pk").values_list("prompt__name", "name", "version_id")]
    found.sort(key=lambda row: row[1] == label)  # what is wanted comes last, and stays
    return {name: version_id for name, _, version_id in found}


def _newest(organization_id: int, names: Set[str]) -> dict[str, int]:
    found = PromptVersion.objects.filter(
        prompt__organization_id=organization_id, prompt__name__in=names
    )
    return dict(found.order_by("number").values_list("prompt__name", "pk"))


def _broken(name: str, root: CompiledPrompt, parts: Parts) -> Iterator[tuple[PlacedInclude, str]]:
    """Yield what cannot be included, and why."""
    fine: dict[str, int] = {}
    for include in root.includes:
        if reason := _reason((name or "this prompt", include.tag.name), parts, fine):
            yield include, reason
    if len(parts) > MAX_PROMPTS:
        yield root.includes[0], f"all in all it includes more than {MAX_PROMPTS} prompts."


def _reason(chain: tuple[str, ...], parts: Parts, fine: dict[str, int]) -> str:
    """Return why the last of prompts that include each other cannot be; "" where it can.

    `fine` remembers at which depth a prompt was found to be so.
    """
    name, told = chain[-1], " → ".join(chain)
    if fine.get(name, 0) >= len(chain):
        return ""
    if name in chain[:-1]:
        return f"a prompt cannot include itself: {told}."
    if len(chain) > MAX_DEPTH + 1:
        return f"prompts can include each other {MAX_DEPTH} deep: {told}."
    if name not in parts:
        return f"there is no prompt “{name}” in production: {told}."
    for child in sorted(parts[name].included):
        if reason := _reason((*chain, child), parts, fine):
            return reason
    fine[name] = len(chain)
    return ""


def _misused(root: CompiledPrompt, parts: Parts) -> Iterator[Problem]:
    """Yield where variables of what is included are not used as they are declared."""
    own = {variable.name: variable for variable in root.content.variables}
    known: dict[str, Needed] = {}
    for include in root.includes:
        name, given = include.tag.name, include.tag.given.keys()
        theirs = _needed_by(name, parts, known)
        for unknown in sorted(given - theirs.keys()):
            yield _problem(include, f"“{name}” has no variable “{unknown}”.")
        if include.tag.is_alone:
            required = {variable.name for variable in theirs.values() if variable.required}
            for missing in sorted(required - given):
                yield _problem(include, f"“{name}” needs its variable “{missing}”.")
        for shared, variable in _shared(include, parts, known).items():
            if shared in own and own[shared].type != variable.type:
                kinds = f"{variable.type} there and {own[shared].type} here"
                yield _problem(include, f"“{shared}” of “{name}” is {kinds}.")


def _problem(include: PlacedInclude, reason: str) -> Problem:
    return Problem(include.place, include.tag.line, reason)
