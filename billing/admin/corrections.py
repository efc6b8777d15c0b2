"""Corrections: proposed here, posted by somebody else, never edited."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from billing.admin import reconcile, rerate
from billing.admin.adjust_form import AdjustForm
from billing.corrections import posting
from billing.models import Correction, CorrectionState
from billing.templatetags.billing_words import signed
from core.admin import ReadOnly
from core.errors import AppError

MOST_SHOWN = 200  # adjustments on the page of a correction


@admin.register(Correction)
class CorrectionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What is decided is only shown; what waits has a button for a second person."""

    change_list_template = "admin/billing/adjust_list.html"
    change_form_template = "admin/billing/adjust_detail.html"
    list_display = [
        *("proposed_at", "kind", "reason", "amount", "count", "state", "proposed_by", "decided_by")
    ]
    list_select_related = ["proposed_by", "decided_by"]
    list_filter = ["state", "kind"]
    search_fields = ["reason"]
    fields = ["kind", "reason", "state", "proposed_by", "proposed_at", "decided_by", "decided_at"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.add_correction")

    def get_queryset(self, request: HttpRequest) -> Any:
        sums = {"total": Sum("adjustments__amount_usd"), "rows": Count("adjustments")}
        return super().get_queryset(request).annotate(**sums)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("rerate/", view(self.rerate), name="billing_correction_rerate"),
            path("reconcile/", view(self.reconcile), name="billing_correction_reconcile"),
            path("<int:pk>/post/", view(self.post), name="billing_correction_post"),
            path("<int:pk>/decline/", view(self.decline), name="billing_correction_decline"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Propose one adjustment; the address may begin it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AdjustForm(request.POST) if request.method == "POST" else _begun(request)
        if request.method == "POST" and form.is_valid():
            correction = form.propose(request.user)
            text = "Proposed. Another of the staff has to post it."
            self.message_user(request, text, messages.SUCCESS)
            return redirect("admin:billing_correction_change", correction.pk)
        return self.page(request, "adjust", "Propose an adjustment", form=form)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show a correction with its adjustments, and the buttons of who may decide."""
        found = self.get_object(request, object_id)
        context = _detail(request, found) if found else {}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def rerate(self, request: HttpRequest) -> HttpResponse:
        """Show what other prices would change, and propose it."""
        return rerate.view(self, request)

    def reconcile(self, request: HttpRequest) -> HttpResponse:
        """Hold a vendor's export against the books."""
        return reconcile.view(self, request)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, posting.post, "Posted: the budgets have changed.")

    def decline(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, posting.decline, "Declined: nothing has changed.")

    def page(self, request: HttpRequest, name: str, title: str, **context: Any) -> HttpResponse:
        """Return one of the pages beside the forms."""
        everything = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            **context,
        }
        return TemplateResponse(request, f"admin/billing/{name}.html", everything)

    def _decide(self, request: HttpRequest, pk: int, decision: Any, text: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("billing.change_correction"):
            raise PermissionDenied
        correction = self.get_object(request, str(pk))
        if correction is None:
            raise Http404
        try:
            decision(correction, by=request.user)
        except AppError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.log_change(request, correction, text)
            self.message_user(request, text, messages.SUCCESS)
        return redirect("admin:billing_correction_change", pk)

    @admin.display(description="amount, USD", ordering="total")
    def amount(self, correction: Any) -> str:
        return signed(correction.total or Decimal(0))

    @admin.display(description="adjustments", ordering="rows")
    def count(self, correction: Any) -> str:
        return f"{correction.rows:,}"


def _begun(request: HttpRequest) -> AdjustForm:
    names = set(AdjustForm.base_fields)
    return AdjustForm(initial={name: request.GET[name] for name in names & set(request.GET)})


def _detail(request: HttpRequest, correction: Any) -> dict[str, Any]:
    rows = correction.adjustments.select_related("organization")
    is_waiting = correction.state == CorrectionState.PROPOSED
    may_decide = is_waiting and request.user.has_perm("billing.change_correction")
    return {
        "rows": rows[:MOST_SHOWN],
        "row_count": correction.rows,
        "total": signed(correction.total or Decimal(0)),
        "may_decide": may_decide,
        "is_own": correction.proposed_by_id == request.user.pk,
    }
