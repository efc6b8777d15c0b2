"""The pages on which staff take prompts out as files, and bring files in after a look at the plan.

What somebody has uploaded waits in the cache until they have seen what it would do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import Organization
from core.errors import AppError, InvalidRequest
from prompts.admin.comparing import ShownPart, shown
from prompts.admin.pages import prompt_for, user_of
from prompts.content import PromptContent
from prompts.files.archives import pack, unpack
from prompts.files.errors import ImportChanged, ImportInvalid
from prompts.files.exporting import export_document, export_folder
from prompts.files.importing import (
    FROM_FILES,
    NO_LABELS,
    Outcome,
    PromptChange,
    VersionChange,
    import_bundle,
    plan_import,
)
from prompts.files.reading import read_files
from prompts.files.telling import label_words, summary
from prompts.models import LABEL_NAME, Prompt
from prompts.releases.comparison import compare

CSS: dict[str, Sequence[str]] = {
    "all": ["prompts/admin.css", "prompts/releases.css", "prompts/files.css"]
}
VIEW = "prompts.view_promptversion"
TO_IMPORT = ("prompts.add_prompt", "prompts.add_promptversion")
TO_MOVE = "prompts.change_promptlabel"

MAX_UPLOAD = 5_000_000  # bytes; what is unpacked has bounds of its own
KEPT_FOR = 1_800  # seconds between a plan and the word to carry it out
MOST_SHOWN = 50  # prompts whose changes are shown in full
ONE_LABEL = "one"


class ExportForm(forms.Form):
    """Whose prompts, and how much of them."""

    organization = forms.ModelChoiceField(Organization.objects.order_by("name"), empty_label=None)
    versions = forms.ChoiceField(
        choices=[("labelled", "Those that labels name"), ("all", "All, with their history")]
    )


class ImportForm(forms.Form):
    """What to import, whose it will be, and what happens to labels."""

    organization = forms.ModelChoiceField(Organization.objects.order_by("name"), empty_label=None)
    labels = forms.ChoiceField(
        label="Labels",
        choices=[
            (FROM_FILES, "Move them as the files have them"),
            (ONE_LABEL, "Move one label alone"),
            (NO_LABELS, "Move none"),
        ],
    )
    label = forms.CharField(
        label="Which label alone",
        required=False,
        max_length=50,
        widget=forms.TextInput(attrs={"placeholder": "staging"}),
        help_text="It goes to the version that the files call production.",
    )

    def clean(self) -> dict[str, Any]:
        sent = super().clean() or {}
        if sent.get("labels") == ONE_LABEL:
            if not LABEL_NAME.fullmatch(sent.get("label", "")):
                self.add_error("label", "Name a label: small letters, digits, hyphens.")
            sent["labels"] = sent.get("label", "")
        return sent


class UploadForm(ImportForm):
    file = forms.FileField(
        label="File",
        help_text="A zip of an export, one YAML file, or the JSON of Langfuse; "
        f"up to {MAX_UPLOAD // 1_000_000} MB.",
        widget=forms.FileInput(attrs={"accept": ".zip,.yaml,.yml,.json"}),
    )

    def clean_file(self) -> "UploadedFile[Any]":
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > MAX_UPLOAD:
            raise forms.ValidationError(f"The file has more than {MAX_UPLOAD:,} bytes.")
        return file


class AgreedForm(ImportForm):
    """The word to carry out what was shown."""

    upload = forms.RegexField(r"^[0-9a-f]{64}\Z")
    expected = forms.RegexField(r"^[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class ShownVersion:
    change: VersionChange
    parts: list[ShownPart]


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    change: PromptChange
    versions: list[ShownVersion]
    labels: list[str]


def exchange_view(model_admin: "ModelAdmin[Prompt]", request: HttpRequest) -> HttpResponse:
    """Offer the export, and ask for a file to import; show what it would do."""
    if not (request.user.has_perm(VIEW) or _may_import(request)):
        raise PermissionDenied
    if request.method != "POST":
        return _exchange(model_admin, request, UploadForm())
    if not _may_import(request):
        raise PermissionDenied
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _exchange(model_admin, request, form)
    file: UploadedFile[Any] = form.cleaned_data["file"]
    upload = _keep(request, file.name or "", file.read())
    return _plan(model_admin, request, form, upload)


def import_view(model_admin: "ModelAdmin[Prompt]", request: HttpRequest) -> HttpResponse:
    """Import what was shown, or show what it would do now."""
    if not _may_import(request):
        raise PermissionDenied
    form = AgreedForm(request.POST)
    if not form.is_valid():
        return _exchange(model_admin, request, UploadForm(), "Upload the file again.")
    sent = form.cleaned_data
    try:
        outcome = import_bundle(**_asked(request, sent), expected=sent["expected"])
    except ImportChanged as error:
        messages.warning(request, error.message)
        return _plan(model_admin, request, form, sent["upload"])
    except AppError as error:
        return _refused(model_admin, request, error)
    messages.success(request, f"Imported. {summary(outcome)}")
    return HttpResponseRedirect(reverse("admin:prompts_prompt_changelist"))


def export_view(request: HttpRequest) -> HttpResponse:
    """Return the prompts of an organization as a zip archive."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    form = ExportForm(request.GET)
    if not form.is_valid():
        messages.error(request, "Choose an organization.")
        return HttpResponseRedirect(reverse("admin:prompts_prompt_files"))
    organization = form.cleaned_data["organization"]
    files = export_folder(organization, all_versions=form.cleaned_data["versions"] == "all")
    return _archive(organization, files)


def export_selected(request: HttpRequest, prompts: "QuerySet[Prompt]") -> HttpResponse | None:
    """Return the selected prompts as a zip archive, with the versions that labels name."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    chosen = list(prompts.select_related("organization"))
    if len({prompt.organization_id for prompt in chosen}) > 1:
        messages.error(request, "Select prompts of one organization.")
        return None
    organization = chosen[0].organization
    return _archive(organization, export_folder(organization, [one.name for one in chosen]))


def document_view(request: HttpRequest, prompt_id: int) -> HttpResponse:
    """Return one prompt, with all its versions, as a YAML file."""
    prompt = prompt_for(request, prompt_id, VIEW)
    text = export_document(prompt, all_versions=True)
    return _download(text.encode(), "application/yaml; charset=utf-8", f"{prompt.name}.yaml")


def _archive(organization: Organization, files: Mapping[str, str]) -> HttpResponse:
    return _download(pack(files), "application/zip", f"prompts-{organization.slug}.zip")


def _download(content: bytes, kind: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=kind, headers=headers)


def _may_import(request: HttpRequest) -> bool:
    return request.user.has_perms(TO_IMPORT)


def _place(request: HttpRequest, upload: str) -> str:
    return f"prompts.import:{user_of(request).pk}:{upload}"


def _keep(request: HttpRequest, name: str, content: bytes) -> str:
    """Keep what was uploaded for whoever did it; return what it is called by."""
    upload = hashlib.sha256(content).hexdigest()
    cache.set(_place(request, upload), (name, content), KEPT_FOR)
    return upload


def _asked(request: HttpRequest, sent: Mapping[str, Any], upload: str = "") -> dict[str, Any]:
    """Return what to import, and how; raise `AppError` where that cannot be."""
    if sent["labels"] != NO_LABELS and not request.user.has_perm(TO_MOVE):
        raise InvalidRequest("You may not move labels: choose “Move none”.", param="labels")
    kept = cache.get(_place(request, upload or sent["upload"]))
    if kept is None:
        raise InvalidRequest("The file is kept for half an hour only: upload it again.")
    return {
        "organization": sent["organization"],
        "bundle": read_files(unpack(*kept)),
        "by": user_of(request),
        "labels": sent["labels"],
    }


def _plan(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, form: ImportForm, upload: str
) -> HttpResponse:
    """Show what the import would do."""
    sent = form.cleaned_data
    try:
        outcome = plan_import(**_asked(request, sent, upload))
    except AppError as error:
        return _refused(model_admin, request, error)
    again = {
        "organization": sent["organization"].pk,
        "labels": sent["labels"] if sent["labels"] in (FROM_FILES, NO_LABELS) else ONE_LABEL,
        "label": sent["label"],
        "upload": upload,
        "expected": outcome.fingerprint,
    }
    context = {
        "title": f"Import into {sent['organization']}",
        "again": again.items(),
        "outcome": outcome,
        "summary": summary(outcome),
        "shown": [_shown(prompt) for prompt in outcome.changed[:MOST_SHOWN]],
        "further": outcome.changed[MOST_SHOWN:],
        "unchanged": _unchanged(outcome),
    }
    return _page(model_admin, request, "plan", context)


def _shown(prompt: PromptChange) -> ShownPrompt:
    nothing = PromptContent(messages=())
    return ShownPrompt(
        prompt,
        [
            ShownVersion(
                change,
                [
                    shown(part)
                    for part in compare(change.base or nothing, change.content)
                    if part.change != "unchanged"
                ],
            )
            for change in prompt.new_versions
        ],
        [label_words(label) for label in prompt.labels if label.state != "unchanged"],
    )


def _unchanged(outcome: Outcome) -> list[str]:
    return [prompt.name for prompt in outcome.prompts if not prompt.changes_something]


def _refused(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, error: AppError
) -> HttpResponse:
    problems = error.problems if isinstance(error, ImportInvalid) else ()
    problem = "" if problems else error.message
    return _exchange(
        model_admin, request, UploadForm(initial=request.POST.dict()), problem, problems
    )


def _exchange(
    model_admin: "ModelAdmin[Prompt]",
    request: HttpRequest,
    form: UploadForm,
    problem: str = "",
    problems: Any = (),
) -> HttpResponse:
    context = {
        "title": "Prompts as files",
        "export": ExportForm(auto_id="export_%s"),
        "form": form,
        "problem": problem,
        "problems": problems,
        "may_export": request.user.has_perm(VIEW),
        "may_import": _may_import(request),
    }
    return _page(model_admin, request, "exchange", context)


def _page(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, name: str, context: dict[str, Any]
) -> HttpResponse:
    everything = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": forms.Media(css=CSS),
        **context,
    }
    return TemplateResponse(request, f"admin/prompts/files/{name}.html", everything)
