"""The page that writes a version, and what it asks for while somebody types."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string

from core.errors import AppError
from prompts import services, translations
from prompts.admin import moves
from prompts.admin.editing import editor as editors
from prompts.admin.editing import steps
from prompts.admin.editing.editor import VersionEditor
from prompts.admin.editing.including import including
from prompts.admin.editing.preview import Preview, model_names, preview
from prompts.admin.editing.reading import Mistake, Reading, by_field, focus_first, read
from prompts.admin.pages import prompt_for, render_page, url_of, user_of
from prompts.includes import included_variables
from prompts.models import PRODUCTION, Prompt, PromptVersion
from prompts.releases import services as releases
from prompts.releases.rules import rule_of

WRITE = "prompts.add_promptversion"
PUBLISH = "prompts.change_promptlabel"
PARTS = "admin/prompts/prompt/editor/"


def write_view(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt_id: int
) -> HttpResponse:
    """Show the editor, filled from the newest version or the one asked for; do what it asks."""
    prompt = prompt_for(request, prompt_id, WRITE)
    if request.method != "POST":
        start = _start(request, prompt)
        opened = editors.started(start.content if start else None, _newest(prompt))
        return _page(model_admin, request, prompt, opened)
    asked = request.POST.get("do", "save")
    if asked.partition(" ")[0] in steps.STEPS:
        changed = editors.sent(request.POST, is_checked=False)
        steps.take(changed, asked)
        return _page(model_admin, request, prompt, changed)
    if asked == "publish" and not request.user.has_perm(PUBLISH):
        raise PermissionDenied
    reading = read(editors.sent(request.POST, is_checked=True), prompt)
    if asked == "preview":
        return _previewed(model_admin, request, prompt, reading)
    return _save(model_admin, request, prompt, reading, is_published=asked == "publish")


def live_view(request: HttpRequest, prompt_id: int) -> HttpResponse:
    """Return what the page shows of what is typed now: mistakes, variables found, the preview."""
    prompt = prompt_for(request, prompt_id, WRITE)
    reading = read(editors.sent(request.POST, is_checked=True), prompt)
    shown = preview(prompt, reading, request.POST, user_of(request))
    rows = [reading.editor.add_variable(variable) for variable in reading.found]
    return JsonResponse(
        {
            "mistakes": {**by_field(reading.mistakes), **shown.samples.mistakes},
            "used": None if reading.used is None else sorted(reading.used),
            "found": [_part(request, "variable", form=row, is_found=True) for row in rows],
            "lacking": {language.key: lack for language, lack in reading.editor.variants},
            "samples": _part(request, "samples", preview=shown),
            "result": _part(request, "result", preview=shown),
            "includes": _part(request, "includes", **_includes(reading)),
            "said": shown.said,
        }
    )


def _previewed(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt: Prompt, reading: Reading
) -> HttpResponse:
    shown = preview(prompt, reading, request.POST, user_of(request))
    for variable in reading.found:
        reading.editor.add_variable(variable)
    return _page(model_admin, request, prompt, reading.editor, reading, shown)


def _save(
    model_admin: "ModelAdmin[Prompt]",
    request: HttpRequest,
    prompt: Prompt,
    reading: Reading,
    *,
    is_published: bool,
) -> HttpResponse:
    version = _saved(request, prompt, reading)
    if version is None:
        return _page(model_admin, request, prompt, reading.editor, reading)
    _tell(model_admin, request, prompt, version, reading)
    if is_published:
        _publish(request, prompt, version)
    return HttpResponseRedirect(url_of("change", prompt))


def _saved(request: HttpRequest, prompt: Prompt, reading: Reading) -> PromptVersion | None:
    """Return the new version; `None` where something is wrong, which the reading then says."""
    if not reading.is_valid or _is_overtaken(prompt, reading):
        return None
    note = reading.editor.note.cleaned_data["note"]
    try:
        return services.add_version(
            prompt=prompt, content=reading.content, note=note, author=user_of(request)
        )
    except AppError as error:
        reading.other.append(error.message)
        return None


def _is_overtaken(prompt: Prompt, reading: Reading) -> bool:
    """Return whether somebody has saved since the page was opened; who saves again knows it."""
    return _newest(prompt) > _opened_at(reading.editor)


def _tell(
    model_admin: "ModelAdmin[Prompt]",
    request: HttpRequest,
    prompt: Prompt,
    version: PromptVersion,
    reading: Reading,
) -> None:
    text = f"Version {version.number} is saved."
    model_admin.log_change(request, prompt, text)
    messages.success(request, text)
    if reading.found:
        names = ", ".join(variable.name for variable in reading.found)
        messages.warning(request, f"Callers must send what the text newly asks for: {names}.")


def _publish(request: HttpRequest, prompt: Prompt, version: PromptVersion) -> None:
    try:
        move = releases.release(
            prompt=prompt, number=version.number, by=user_of(request), note=version.note
        )
    except AppError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, moves.said_of(move))


def _page(
    model_admin: "ModelAdmin[Prompt]",
    request: HttpRequest,
    prompt: Prompt,
    editor: VersionEditor,
    reading: Reading | None = None,
    shown: Preview | None = None,
) -> HttpResponse:
    mistakes: list[Mistake] = reading.mistakes if reading else []
    focus_first(mistakes, editor)
    newest = prompt.versions.newest_first().select_related("author").first()
    number, opened_at = newest.number if newest else 0, _opened_at(editor)
    return render_page(
        model_admin,
        request,
        "add_version",
        prompt,
        title=f"{'New version' if number else 'First version'} of {prompt}",
        tab="versions",
        editor=editor,
        mistakes=mistakes,
        preview=shown,
        newest=number,  # who has seen the warning saves beside what is new
        opened_at=opened_at,
        newer=newest if number > opened_at else None,
        can_publish=request.user.has_perm(PUBLISH),
        **_offered(prompt),
        **(_includes(reading) if reading else {}),
    )


def _offered(prompt: Prompt) -> dict[str, Any]:
    """Return what the page knows of the prompt's surroundings, whatever is typed."""
    return {
        "models": model_names(prompt),
        "tags": _tags_elsewhere(prompt),
        "including": including(prompt),
        "rule": rule_of(prompt, PRODUCTION),
    }


def _part(request: HttpRequest, name: str, **context: Any) -> str:
    return render_to_string(f"{PARTS}{name}.html", context, request)


def _includes(reading: Reading) -> dict[str, Any]:
    """Return what the page says of the prompts whose words are in this one's."""
    if reading.whole is None:
        return {"is_unknown": True}
    return {
        "included": sorted(reading.whole.included),
        "included_variables": included_variables(reading.whole),
    }


def _tags_elsewhere(prompt: Prompt) -> list[str]:
    spoken = translations.missing_locales(organization_id=prompt.organization_id)
    return sorted({tag for one in spoken for tag in one.locales})


def _newest(prompt: Prompt) -> int:
    return prompt.versions.newest_first().values_list("number", flat=True).first() or 0


def _opened_at(editor: VersionEditor) -> int:
    """Return the newest version when the page was opened."""
    number = str(editor.note["newest"].value() or "")
    return int(number) if number.isdecimal() and len(number) < 9 else 0


def _start(request: HttpRequest, prompt: Prompt) -> PromptVersion | None:
    """Return the version that the editor starts from."""
    asked_for = request.GET.get("from", "")
    if asked_for.isdecimal() and len(asked_for) < 9:
        return get_object_or_404(prompt.versions, number=int(asked_for))
    return prompt.versions.newest_first().first()
