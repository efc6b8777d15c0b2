"""Runs begun and cancelled by people; the worker does the rest (`running`)."""

from collections.abc import Sequence
from decimal import Decimal

import structlog
from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone

from accounts.models import Organization, User
from accounts.principal import Principal
from accounts.services import principal_for
from core.errors import InvalidRequest, PermissionDenied
from core.history import write_down
from llm.routing import routes
from prompts.applying import THE_PROMPTS_MODEL
from prompts.models import Dataset, DatasetRun, RunState
from prompts.testing.errors import RunRefused
from prompts.testing.leases import OPEN

logger = structlog.get_logger(__name__)

MOST_VERSIONS = 10
MOST_MODELS = 10
MOST_ASKS = 5_000  # of a run
MOST_CAP = Decimal(10_000)  # US dollars


def payer(organization: Organization, person: User | None) -> Principal:
    """Return who pays: the organization, on behalf of the person where there is one."""
    if person is not None:
        return principal_for(person, organization)
    if not organization.is_active:
        raise PermissionDenied(f"{organization} is not active.")
    return Principal(organization_id=organization.pk)


def check(dataset: Dataset, versions: Sequence[int], models: Sequence[str]) -> None:
    """Raise `InvalidRequest` unless there is something to ask, and not too much."""
    count = dataset.cases.count()
    if not count:
        raise InvalidRequest("The dataset has no cases yet: add some first.")
    if not versions or not models:
        raise InvalidRequest("Choose at least one version and one model.")
    if len(versions) > MOST_VERSIONS or len(models) > MOST_MODELS:
        raise InvalidRequest(
            f"A run has at most {MOST_VERSIONS} versions and {MOST_MODELS} models."
        )
    if len(set(versions)) < len(versions) or len(set(models)) < len(models):
        raise InvalidRequest("Name each version and each model once.")
    asks = count * len(versions) * len(models)
    if asks > MOST_ASKS:
        raise InvalidRequest(f"{asks:,} answers are too many: a run has {MOST_ASKS:,} at most.")
    _check_versions(dataset, versions, needs_model=THE_PROMPTS_MODEL in models)


def _check_versions(dataset: Dataset, versions: Sequence[int], *, needs_model: bool) -> None:
    known = dataset.prompt.versions.filter(number__in=versions)
    settings = dict(known.values_list("number", "settings"))
    for number in versions:
        if number not in settings:
            raise InvalidRequest(f"There is no version {number}.", param="versions")
        if needs_model and not settings[number].get("model"):
            raise InvalidRequest(f"Version {number} has no model of its own.", param="models")


def check_models(models: Sequence[str], principal: Principal) -> None:
    """Raise `ModelNotFound` for what the payer cannot ask for."""
    for model in models:
        if model != THE_PROMPTS_MODEL:
            async_to_sync(routes.find)(model, principal)


def start(
    *,
    dataset: Dataset,
    versions: Sequence[int],
    models: Sequence[str],
    cap_usd: Decimal,
    estimated_usd: Decimal | None = None,
    by: User | None = None,
) -> DatasetRun:
    """Return a new run, which the worker begins within a second; raise why it cannot be.

    The person's budgets pay, and those of the prompt's organization.
    """
    check(dataset, versions, models)
    if not 0 < cap_usd <= MOST_CAP:
        raise InvalidRequest(f"The cap is above $0, up to ${MOST_CAP:,}.", param="cap_usd")
    check_models(models, payer(dataset.prompt.organization, by))
    run = DatasetRun.objects.create(
        dataset=dataset,
        versions=list(versions),
        model_names=list(models),
        cap_usd=cap_usd,
        estimated_usd=estimated_usd,
        created_by=by,
    )
    logger.info("prompts.run_started", run=run.pk, prompt=dataset.prompt.name)
    write_down(dataset, by, f"Run {run.pk} was started, up to ${cap_usd.normalize():f}.")
    return run


@transaction.atomic
def cancel(*, run: DatasetRun, by: User | None = None) -> None:
    """End an open run; what is being asked is stopped within seconds, results stay."""
    still_open = DatasetRun.objects.filter(pk=run.pk, state__in=OPEN)
    if not still_open.update(state=RunState.CANCELLED, ended_at=timezone.now()):
        raise RunRefused("The run has ended already.")
    write_down(run.dataset, by, f"Run {run.pk} was cancelled.")
