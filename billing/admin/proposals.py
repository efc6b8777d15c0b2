"""Proposed prices: what would change, and the decision."""

from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from billing.admin import price_words
from billing.models import PriceProposal, ProposalState
from billing.prices import proposals
from core.admin import ReadOnly
from core.errors import AppError

DIRECTIONS = ("up", "down", "new", "gone")
PERMISSION = "billing.decide_priceproposal"


class ProposalList(ChangeList):
    """The rows of a page, each with what accepting it would change."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        compared = proposals.compared(self.result_list)
        for proposal in self.result_list:
            proposal.changes = compared[proposal.pk]


@admin.register(PriceProposal)
class PriceProposalAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Only accepted prices count; what is rejected comes back when the list has changed."""

    list_display = [
        *("provider", "model", "state", "changed", "largest", "warned", "created_at"),
        *("decided_at", "decided_by"),
    ]
    list_filter = ["state", "provider"]
    search_fields = ["provider", "model"]
    actions = ["accept_selected", "reject_selected"]

    @admin.display(description="changes")
    def changed(self, proposal: Any) -> str:
        kinds = Counter(price_words.change(one).direction for one in proposal.changes)
        return ", ".join(f"{kinds[kind]} {kind}" for kind in DIRECTIONS if kinds[kind])

    @admin.display(description="largest change")
    def largest(self, proposal: Any) -> str:
        percents = [one.percent for one in proposal.changes if one.percent]
        return f"{max(percents, key=abs):+,.1f} %" if percents else ""

    @admin.display(description="warnings")
    def warned(self, proposal: PriceProposal) -> str:
        return str(len(proposal.warnings) or "")

    @admin.action(description="Accept the selected prices", permissions=["decide"])
    def accept_selected(self, request: HttpRequest, chosen: QuerySet[PriceProposal]) -> None:
        self._decide(request, chosen, "accept")

    @admin.action(description="Reject the selected prices", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, chosen: QuerySet[PriceProposal]) -> None:
        self._decide(request, chosen, "reject")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may accept and reject."""
        return request.user.has_perm(PERMISSION)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ProposalList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide)
        name = "billing_priceproposal_decide"
        return [path("<int:pk>/decide/", view, name=name), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the proposed price beside the one in force."""
        proposal = self.get_object(request, object_id)
        shown: dict[str, Any] = dict(extra_context or {})
        if proposal is not None:
            rows = [price_words.change(one) for one in proposals.differences(proposal)]
            is_open = proposal.state == ProposalState.OPEN
            shown |= {
                "changes": rows,
                "can_decide": is_open and self.has_decide_permission(request),
                "is_open": is_open,
            }
        return super().change_view(request, object_id, form_url, shown)

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Accept or reject one proposal, and go back to the list."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_decide_permission(request):
            raise PermissionDenied
        get_object_or_404(PriceProposal, pk=pk)
        decision = "accept" if "accept" in request.POST else "reject"
        self._decide(request, PriceProposal.objects.filter(pk=pk), decision)
        return HttpResponseRedirect(reverse("admin:billing_priceproposal_changelist"))

    def _decide(self, request: HttpRequest, chosen: QuerySet[PriceProposal], decision: str) -> None:
        decide = proposals.accept if decision == "accept" else proposals.reject
        done = 0
        for proposal in chosen.order_by("pk"):
            try:
                decide(proposal, by=str(request.user))
            except AppError as error:
                self.message_user(request, error.message, messages.WARNING)
                continue
            done += 1
            self.log_change(request, proposal, f"{decision}ed the price")
        if done:
            self.message_user(request, f"{done} {decision}ed.", messages.SUCCESS)
