"""An answer to a similar question that was not the answer: said by whoever got it."""

from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from accounts.principal import Principal
from billing.models import UsageRecord
from core.errors import NotFound
from llm.models import SemanticHit

logger = structlog.get_logger(__name__)


@transaction.atomic
def report(*, usage_id: UUID, principal: Principal) -> SemanticHit:
    """Give the answer to nobody any more, and remember who found it wrong; once is enough.

    Raises `NotFound` unless `usage_id` is an answer to a similar question, given to this caller.
    """
    own = UsageRecord.objects.visible_to(principal).filter(pk=usage_id)
    hits = SemanticHit.objects.select_for_update().filter(pk=usage_id)
    hit = hits.first() if own.exists() else None
    if hit is None:
        raise NotFound("You were not given the answer to a similar question under this id.")
    if hit.reported_at is None:
        hit.reported_at = timezone.now()
        hit.reported_by = principal.user_name or principal.api_key_prefix
        hit.save(update_fields=["reported_at", "reported_by"])
        logger.info("llm.wrong_hit", usage_id=str(usage_id), similarity=round(hit.similarity, 4))
    if hit.answer is not None:
        hit.answer.delete()
    return hit
