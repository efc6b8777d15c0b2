"""Every write to datasets and their cases; each is told in the audit trail of its dataset."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.admin.models import ADDITION
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.db.models import Max

from accounts.models import User
from core.errors import InvalidRequest
from core.history import write_down
from prompts.models import Case, Dataset, Prompt
from prompts.testing.cases import CaseContent, read_case
from prompts.testing.errors import CaseExists

MOST_CASES = 1_000  # of a dataset
SAVED = "saved"  # where cases from elsewhere go, unless they name a dataset


@transaction.atomic
def dataset_named(
    *, prompt: Prompt, name: str = SAVED, by: User | None = None, **fields: Any
) -> Dataset:
    """Return the prompt's dataset of this name; a new one where there is none."""
    try:
        validate_slug(name)
    except ValidationError:
        raise InvalidRequest(
            "The name of a dataset has letters, digits, hyphens and underscores.", param="name"
        ) from None
    dataset, is_new = Dataset.objects.get_or_create(prompt=prompt, name=name, defaults=fields)
    if is_new:
        write_down(dataset, by, "The dataset was made.", ADDITION)
    return dataset


def add_case(  # noqa: PLR0913 - each is a part of a case
    *,
    dataset: Dataset,
    name: str = "",
    variables: Mapping[str, Any] | None = None,
    locale: str = "",
    messages: Sequence[Mapping[str, str]] = (),
    checks: Sequence[Mapping[str, Any]] = (),
    by: User | None = None,
) -> Case:
    """Return a new case at the end of the dataset; without a name it gets a number.

    Raises `InvalidRequest` for what is no case, and `CaseExists`.
    """
    parts = {"variables": dict(variables or {}), "locale": locale}
    said = {"messages": [dict(one) for one in messages], "checks": [dict(one) for one in checks]}
    content = read_case({"name": name.strip() or next_name(dataset), **parts, **said})
    return add_cases(dataset=dataset, contents=[content], by=by)[0]


@transaction.atomic
def add_cases(
    *, dataset: Dataset, contents: Sequence[CaseContent], by: User | None = None
) -> list[Case]:
    """Return new cases at the end of the dataset: all of them, or none where one cannot be."""
    # Two people who add at once get places one after the other.
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    names = set(dataset.cases.values_list("name", flat=True))
    for content in contents:
        if content.name in names:
            raise CaseExists(f"There is already a case “{content.name}”.", param="name")
        names.add(content.name)
    if len(names) > MOST_CASES:
        raise InvalidRequest(f"A dataset has at most {MOST_CASES:,} cases.")
    start = (dataset.cases.aggregate(last=Max("position"))["last"] or 0) + 1
    made = Case.objects.bulk_create(
        Case(dataset=dataset, position=place, **content.stored())
        for place, content in enumerate(contents, start=start)
    )
    what = f"The case “{made[0].name}” was" if len(made) == 1 else f"{len(made)} cases were"
    write_down(dataset, by, f"{what} added.")
    return made


@transaction.atomic
def edit_case(*, case: Case, content: CaseContent, by: User | None = None) -> Case:
    """Let a case say something else; results of runs keep what was."""
    others = case.dataset.cases.exclude(pk=case.pk)
    if others.filter(name=content.name).exists():
        raise CaseExists(f"There is already a case “{content.name}”.", param="name")
    for name, value in content.stored().items():
        setattr(case, name, value)
    case.save()
    write_down(case.dataset, by, f"The case “{case.name}” was changed.")
    return case


@transaction.atomic
def delete_case(*, case: Case, by: User | None = None) -> None:
    """Delete a case; what runs have seen of it stays."""
    case.delete()
    write_down(case.dataset, by, f"The case “{case.name}” was deleted.")


def next_name(dataset: Dataset) -> str:
    """Return the name of a case that has been given none."""
    names = set(dataset.cases.values_list("name", flat=True))
    return next(
        name for number in range(1, len(names) + 2) if (name := f"Case {number}") not in names
    )
