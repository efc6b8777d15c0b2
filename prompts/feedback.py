"""What people and programs say of an answer, kept with the version and arm that it came from."""

from typing import Any

from accounts.principal import Principal
from billing.models import UsageRecord
from core.errors import InvalidRequest, NotFound
from prompts.models import Feedback, FeedbackKind

VALUES = {
    FeedbackKind.THUMB: (1, -1),
    FeedbackKind.REGENERATED: (1,),
    FeedbackKind.CHECK: (0, 1),
}


class RequestUnknown(NotFound):
    """The caller has made no request with this id."""

    code = "request_not_found"


def record(
    *, principal: Principal, request_id: str, kind: FeedbackKind, value: int, reason: str = ""
) -> Feedback:
    """Keep a judgement of one of the caller's requests; it replaces their last of its kind."""
    if value not in VALUES[kind]:
        allowed = " or ".join(map(str, VALUES[kind]))
        raise InvalidRequest(f"The value of “{kind.label}” is {allowed}.", param="value")
    used = _last_attempt(principal, request_id)
    feedback, _ = Feedback.objects.update_or_create(
        organization_id=principal.organization_id,
        request_id=request_id,
        kind=kind,
        **_author(principal),
        defaults={
            "value": value,
            "reason": reason,
            "prompt_name": used.prompt_name,
            "prompt_version": used.prompt_version,
            "experiment": used.experiment,
            "arm": used.arm,
            "unit": used.unit,
        },
    )
    return feedback


def _last_attempt(principal: Principal, request_id: str) -> UsageRecord:
    made = UsageRecord.objects.visible_to(principal).filter(request_id=request_id)
    found = made.order_by("-attempt").first()
    if found is None:
        raise RequestUnknown("You have made no request with this id.", param="request_id")
    return found


def _author(principal: Principal) -> dict[str, Any]:
    """Return who speaks: a person is the same in the browser and with each of their keys."""
    if principal.user_id is not None:
        return {"user_id": principal.user_id, "api_key_id": None}
    return {"user_id": None, "api_key_id": principal.api_key_id}
