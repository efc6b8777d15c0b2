"""The page that holds a vendor's export against the books; it changes nothing."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from billing.corrections import books_by_day, reconciling
from billing.corrections.causes import Cause
from billing.corrections.exports import reading
from billing.corrections.reconciling import Reconciliation, Row
from core.errors import AppError


class ReconcileForm(forms.Form):
    """A file, and whose it is."""

    provider = forms.ChoiceField(choices=list, help_text="The provider's name in Parley.")
    file = forms.FileField(
        label="Cost export",
        help_text="OpenAI: the costs as JSON (Costs API) or CSV (dashboard). Anthropic: the cost "
        f"report as JSON, or CSV (Console). At most {reading.MOST_BYTES // 1024 // 1024} MB.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = books_by_day.providers()
        self.fields["provider"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def clean_file(self) -> Any:
        """Read the file; say in plain words what is wrong with it."""
        file = self.cleaned_data["file"]
        if file.size > reading.MOST_BYTES:
            raise forms.ValidationError("The file is too large.")
        try:
            return reading.read(file.read())
        except AppError as error:
            raise forms.ValidationError(error.message) from error


def view(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the form, and after an upload how the days compare."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    form = ReconcileForm(request.POST or None, request.FILES or None)
    found, rows = None, []
    if request.method == "POST" and form.is_valid():
        provider = form.cleaned_data["provider"]
        found = reconciling.reconcile(form.cleaned_data["file"], provider)
        rows = [(row, _proposal(row, found)) for row in found.rows]
    context = {"form": form, "found": found, "rows": rows}
    response: HttpResponse = admin.page(request, "reconcile", "Compare with a bill", **context)
    return response


def _proposal(row: Row, found: Reconciliation) -> str:
    """Return the end of an address that begins an adjustment of what is worth one."""
    if all(part.cause is Cause.ROUNDING for part in row.parts):
        return ""
    return urlencode(
        {
            "day": row.day.isoformat(),
            "amount_usd": f"{row.difference_usd:f}",
            "provider": found.provider,
            "model_served": row.model[:200],
            "reason": f"{found.vendor}'s bill of {row.day}: {row.parts[0].cause.value.lower()}",
        }
    )
