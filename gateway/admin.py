"""Batches: staff upload a file of requests, see how far it is, and fetch the results."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    StreamingHttpResponse,
)
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path
from django.utils.html import format_html_join

from accounts import keys
from core.errors import AppError
from gateway.batches import costs, lines, services
from gateway.batches.services import MOST_BYTES, MOST_LINES
from gateway.models import OK, Batch, BatchLine

SHOWN = (
    *("name", "organization", "user", "endpoint", "concurrency", "per_second"),
    *("state", "progress", "failed", "cost", "created_at", "started_at", "finished_at"),
)


class BatchForm(forms.ModelForm[Batch]):
    """A new batch; every line of its file is looked at before anything is saved."""

    file = forms.FileField(
        help_text="JSONL in OpenAI's batch format: one request a line. "
        f"Up to {intcomma(MOST_LINES)} lines and {filesizeformat(MOST_BYTES)}.",
        widget=forms.FileInput(attrs={"accept": ".jsonl,.ndjson,.txt"}),
    )

    name = forms.CharField(max_length=100, required=False, help_text="Empty: the name of the file.")

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(f"The file is larger than {filesizeformat(MOST_BYTES)}.")
        try:
            count = len(lines.check(file.file).seen)
        except AppError as error:
            raise forms.ValidationError(error.message) from None
        if count > MOST_LINES:
            raise forms.ValidationError(f"The file has more than {intcomma(MOST_LINES)} lines.")
        return file

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        if not fields.get("name") and (file := fields.get("file")):
            fields["name"] = file.name[:100]
        user, organization = fields.get("user"), fields.get("organization")
        if user and organization and not keys.is_member(user, organization):
            self.add_error("user", f"{user} is not a member of {organization}.")
        return fields


@admin.register(Batch)
class BatchAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A batch is added and never edited; what can be done with it are the buttons of its page."""

    form = BatchForm
    list_display = ["name", "organization", "state", "progress", "failed_lines", "created_at"]
    list_filter = ["state", "organization"]
    list_select_related = ["organization"]
    list_per_page = 25
    search_fields = ["name"]
    autocomplete_fields = ["organization", "user"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.counted()  # type: ignore[no-any-return,attr-defined]

    def get_fields(self, request: HttpRequest, obj: Batch | None = None) -> Any:
        own = ["file", "name", "organization", "user", "concurrency", "per_second"]
        return own if obj is None else self.get_readonly_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Batch | None = None) -> Any:
        if obj is None:
            return ()
        return (*SHOWN, "problems") if obj.errors else SHOWN

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "cancel": self.cancel,
            "retry": self.retry,
            "results": self.results,
        }
        own = [
            path(
                f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"gateway_batch_{name}"
            )
            for name, view in views.items()
        ]
        return own + super().get_urls()

    def save_model(
        self, request: HttpRequest, obj: Batch, form: forms.ModelForm[Batch], change: bool
    ) -> None:
        services.create(obj, form.cleaned_data["file"].file)

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop the batch."""

        def cancel(batch: Batch) -> str:
            services.cancel(batch)
            return "The batch is cancelled. What runs is stopped within two seconds."

        return self._do(request, pk, cancel)

    def retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask again what failed, and what was never asked."""

        def retry(batch: Batch) -> str:
            count = services.retry_failed(batch)
            return f"Lines that are asked again: {intcomma(count)}."

        return self._do(request, pk, retry)

    def results(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the file of results, as far as it is."""
        batch = self._batch(request, pk)
        response = StreamingHttpResponse(
            services.results(batch), content_type="application/jsonl; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="batch-{pk}-results.jsonl"'
        return response  # type: ignore[return-value]  # a response all the same

    def has_change_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        return False

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """Say how much is deleted, without a list of every line."""
        count = BatchLine.objects.filter(batch__in=list(objs)).count()
        return [str(batch) for batch in objs], {"batches": len(objs), "lines": count}, set(), []

    @admin.display(description="Answered or failed")
    def progress(self, batch: Any) -> str:
        return f"{intcomma(batch.done_count)} of {intcomma(batch.line_count)}"

    @admin.display(description="Failed")
    def failed_lines(self, batch: Any) -> str:
        return str(intcomma(batch.failed_count))

    @admin.display(description="Failed")
    def failed(self, batch: Any) -> str:
        if not batch.failed_count:
            return "0"
        done = BatchLine.objects.filter(batch=batch, status_code__isnull=False)
        codes = done.exclude(status_code=OK).order_by("status_code").values_list("status_code")
        found = ", ".join(
            f"{intcomma(count)} with status {code}" for code, count in codes.annotate(Count("pk"))
        )
        return f"{intcomma(batch.failed_count)}: {found}"

    @admin.display(description="What is wrong with its file")
    def problems(self, batch: Batch) -> str:
        lines = ((f"Line {one['line']}: " if one["line"] else "", one) for one in batch.errors)
        return format_html_join("", "{}{}<br>", ((place, one["message"]) for place, one in lines))

    @admin.display(description="Cost so far")
    def cost(self, batch: Batch) -> str:
        return costs.in_words(batch.run_name, batch.organization_id)

    def _do(self, request: HttpRequest, pk: int, act: Callable[[Batch], str]) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        batch = self._batch(request, pk)
        try:
            text = act(batch)
        except AppError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.log_change(request, batch, text)
            self.message_user(request, text, messages.SUCCESS)
        return redirect("admin:gateway_batch_change", pk)

    def _batch(self, request: HttpRequest, pk: int) -> Batch:
        """Return the batch to whoever may do more with batches than see that they are there."""
        if not super().has_change_permission(request):
            raise PermissionDenied
        batch: Batch | None = self.get_object(request, str(pk))
        if batch is None:
            raise Http404
        return batch
