"""The page that shows what other prices would change, and proposes it."""

from datetime import UTC, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from billing.admin.adjust_form import DayInput
from billing.corrections import books_by_day, rerating
from billing.corrections.rerating import Question
from billing.models import Price
from core.errors import AppError

LONGEST = timedelta(days=366)


class RerateForm(forms.Form):
    """Which attempts, and at what prices."""

    provider = forms.ChoiceField(choices=list)
    first = forms.DateField(label="From", widget=DayInput, help_text="In UTC.")
    last = forms.DateField(label="To", widget=DayInput, help_text="This day as well.")
    models = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Names as the vendor served them, one a line; empty: all.",
    )
    price = forms.ModelChoiceField(
        Price.objects.all(),
        required=False,
        empty_label="Those in force now",
        label="Prices",
        help_text="Or one price for all of these attempts.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = books_by_day.providers()
        self.fields["provider"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse days in the wrong order, and too many."""
        values: dict[str, Any] = super().clean() or {}
        first, last = values.get("first"), values.get("last")
        if first and last and first > last:
            self.add_error("last", "It is before the first day.")
        elif first and last and last - first > LONGEST:
            self.add_error("last", "A year at most.")
        return values

    def question(self) -> Question:
        """Return what is asked."""
        values = self.cleaned_data
        return Question(
            first=values["first"],
            last=values["last"],
            provider=values["provider"],
            models=tuple(filter(None, map(str.strip, values["models"].splitlines()))),
            price=values["price"],
        )


def view(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the form, and what would change; a POST with a reason proposes it."""
    if not admin.has_add_permission(request):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    form = RerateForm(given or None, initial=_last_month())
    answer, problem = None, ""
    if form.is_valid():
        question = form.question()
        reason = request.POST.get("reason", "").strip()[:500]
        if request.method == "POST" and reason:
            try:
                correction = rerating.propose(question, by=request.user, reason=reason)  # type: ignore[arg-type]
            except AppError as error:
                problem = error.message
            else:
                text = "Proposed. Another of the staff has to post it."
                admin.message_user(request, text, messages.SUCCESS)
                return redirect("admin:billing_correction_change", correction.pk)
        elif request.method == "POST":
            problem = "Say why, for whoever has to post it."
        answer = rerating.dry_run(question)
    context = {"form": form, "answer": answer, "problem": problem}
    response: HttpResponse = admin.page(request, "rerate", "Other prices", **context)
    return response


def _last_month() -> dict[str, Any]:
    last = timezone.now().astimezone(UTC).date().replace(day=1) - timedelta(days=1)
    return {"first": last.replace(day=1), "last": last}
