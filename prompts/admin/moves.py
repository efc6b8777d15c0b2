"""The pages and buttons that move the labels of a prompt, and the history of their moves."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.formats import date_format

from core.errors import AppError
from prompts.admin.pages import prompt_for, render_page, url_of, user_of
from prompts.models import PRODUCTION, LabelMove, MoveState, Prompt
from prompts.releases import services as releases
from prompts.releases.history import HEAVY, moves_of
from prompts.releases.rules import rule_of

MOVES_A_PAGE = 50
# What each decision needs, and does.
DECISIONS: dict[str, tuple[str, Callable[..., LabelMove]]] = {
    "confirm": ("prompts.change_labelmove", releases.confirm),
    "refuse": ("prompts.change_labelmove", releases.refuse),
    "withdraw": ("prompts.change_promptlabel", releases.withdraw),
}
FIELDS = {"name": "label", "note": "note", "due_at": "due_at"}  # what an error is about


class MoveForm(forms.Form):
    """Which version gets which label, why, and when."""

    number = forms.TypedChoiceField(label="Version", coerce=int)
    label = forms.CharField(max_length=50, widget=forms.TextInput(attrs={"list": "labels"}))
    note = forms.CharField(
        label="Why",
        required=False,
        max_length=releases.LONGEST_NOTE,
        widget=forms.TextInput(attrs={"placeholder": "Shorter answers"}),
    )
    due_at = forms.DateTimeField(
        label="When",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )

    def __init__(self, prompt: Prompt, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = prompt.versions.newest_first().values_list("number", "note")
        self.fields["number"].choices = [  # type: ignore[attr-defined]  # it is a choice field
            (number, f"{number}: {note}" if note else str(number)) for number, note in versions
        ]
        zone = timezone.get_current_timezone_name()
        self.fields["due_at"].help_text = f"Empty: at once. The time zone is {zone}."

    def release(self, prompt: Prompt, request: HttpRequest) -> LabelMove | None:
        """Return the move; `None` where it is refused, which the form then shows."""
        sent = self.cleaned_data
        try:
            return releases.release(
                prompt=prompt,
                number=sent["number"],
                name=sent["label"],
                by=user_of(request),
                note=sent["note"],
                due_at=sent["due_at"],
            )
        except AppError as error:
            self.add_error(FIELDS.get(error.param or ""), error.message)
            return None


def move_view(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt_id: int
) -> HttpResponse:
    """Ask which version gets a label, why and when; then move it, or propose that."""
    prompt = prompt_for(request, prompt_id, "prompts.change_promptlabel")
    if request.method != "POST":
        start = {"label": PRODUCTION, **request.GET.dict()}
        return _move_page(model_admin, request, prompt, MoveForm(prompt, initial=start))
    form = MoveForm(prompt, request.POST)
    move = form.release(prompt, request) if form.is_valid() else None
    if move is None:
        return _move_page(model_admin, request, prompt, form)
    messages.success(request, said_of(move))
    return HttpResponseRedirect(url_of("change", prompt))


def _move_page(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt: Prompt, form: MoveForm
) -> HttpResponse:
    name, number = form["label"].value() or "", form["number"].value()
    labels = prompt.labels.select_related("version").defer(*HEAVY)
    return render_page(
        model_admin,
        request,
        "move",
        prompt,
        title=f"Move a label of {prompt}",
        tab="versions",
        form=form,
        labels=labels,
        label=next((label for label in labels if label.name == name), None),
        number=number if str(number).isdecimal() else None,
        rule=rule_of(prompt, name),
    )


def rollback_view(request: HttpRequest, prompt_id: int) -> HttpResponse:
    """Point a label back to where it was before its last move."""
    prompt = prompt_for(request, prompt_id, "prompts.change_promptlabel")
    try:
        name = request.POST.get("label", "")
        move = releases.rollback(prompt=prompt, name=name, by=user_of(request))
    except AppError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, said_of(move))
    return HttpResponseRedirect(url_of("change", prompt))


def delete_view(request: HttpRequest, prompt_id: int) -> HttpResponse:
    """Take a label away."""
    prompt = prompt_for(request, prompt_id, "prompts.delete_promptlabel")
    name = request.POST.get("label", "")
    try:
        releases.delete_label(prompt=prompt, name=name, by=user_of(request))
    except AppError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"The label “{name}” is gone.")
    return HttpResponseRedirect(url_of("change", prompt))


def decide_view(request: HttpRequest, prompt_id: int, move_id: int, decision: str) -> HttpResponse:
    """Confirm, refuse or withdraw an open move."""
    if decision not in DECISIONS:
        raise Http404
    permission, decide = DECISIONS[decision]
    prompt = prompt_for(request, prompt_id, permission)
    move = get_object_or_404(prompt.label_moves, pk=move_id)
    try:
        decided = decide(move, by=user_of(request))
    except AppError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, said_of(decided))
    return HttpResponseRedirect(url_of("change", prompt))


def history_view(
    model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt_id: int
) -> HttpResponse:
    """Show every move of the prompt's labels, newest first: who, when, from, to, why."""
    prompt = prompt_for(request, prompt_id, "prompts.view_prompt")
    label = request.GET.get("label", "")
    moves = moves_of(prompt, label)
    return render_page(
        model_admin,
        request,
        "moves",
        prompt,
        title=f"Moves of the labels of {prompt}",
        tab="moves",
        page=Paginator(moves, MOVES_A_PAGE).get_page(request.GET.get("p")),
        label=label,
        keep=f"label={quote(label)}&",
        labels=prompt.label_moves.order_by("label").values_list("label", flat=True).distinct(),
    )


def said_of(move: LabelMove) -> str:
    """Return what people read when they have asked for a move or decided one."""
    if move.state == MoveState.DONE:
        return f"Version {move.version.number} is now “{move.label}”."
    if move.state == MoveState.PROPOSED:
        return "Proposed. Another of the staff has to confirm it."
    if move.state == MoveState.SCHEDULED and move.due_at:
        moment = date_format(timezone.localtime(move.due_at), "j M Y, H:i")
        return f"“{move.label}” moves to version {move.version.number} on {moment}."
    return f"{move.get_state_display()}: “{move.label}” stays where it is."
