"""The page on which staff try versions and models side by side; a script lets them stream."""

from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse

from accounts.principal import Principal
from core import address
from core.errors import AppError, InvalidRequest, PermissionDenied
from llm import service
from prompts.admin.pages import prompt_for, render_page, user_of
from prompts.admin.playground_forms import Playground
from prompts.models import Case, Prompt
from prompts.playground import estimates
from prompts.playground.questions import PERMISSION, payer
from prompts.playground.running import run_all
from prompts.testing import datasets

CHECKS = [("", "no check"), ("contains", "contains"), ("equals", "is exactly")]


class CaseForm(forms.Form):
    """Where the values go as a case, and what its answers must be."""

    dataset = forms.SlugField(
        max_length=100,
        initial=datasets.SAVED,
        widget=forms.TextInput(attrs={"list": "datasets"}),
        help_text="A new name makes a new dataset.",
    )
    name = forms.CharField(
        label="Name of the case",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "a number"}),
    )
    check_kind = forms.ChoiceField(label="The answer", choices=CHECKS, required=False)
    expected = forms.CharField(
        label="This text",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def checks(self) -> list[dict[str, str]]:
        """Return the check as a case keeps it."""
        kind, text = self.cleaned_data["check_kind"], self.cleaned_data["expected"]
        return [{"kind": kind, "text": text.replace("\r\n", "\n")}] if kind else []

    def clean(self) -> None:
        """Ask for the text that a check looks for."""
        if self.cleaned_data.get("check_kind") and not self.cleaned_data.get("expected"):
            self.add_error("expected", "Write what the answer must be.")


@dataclass(slots=True)
class Page:
    """What was sent from the page, and what it shows then."""

    prompt: Prompt
    principal: Principal
    playground: Playground
    case: CaseForm
    is_checked: bool = False  # whether fields show their errors
    problem: str = ""
    shown: dict[str, Any] = field(default_factory=dict)

    def run(self, request: HttpRequest) -> None:
        """Let all columns answer to their end: the way without a script."""
        answers, total = async_to_sync(run_all)(
            self.playground.questions(), self.principal, address.of_request(request)
        )
        self.shown |= {"answers": answers, "total": total}

    def save(self, request: HttpRequest) -> None:
        """Keep the values as a case."""
        case = self.playground.case()
        if not self.case.is_valid():
            raise InvalidRequest("The case is not saved yet: its fields say what they need.")
        user, name = user_of(request), self.case.cleaned_data["dataset"]
        is_new = not self.prompt.datasets.filter(name=name).exists()
        needed = ["prompts.add_case", *(["prompts.add_dataset"] if is_new else [])]
        if not user.has_perms(needed):
            raise PermissionDenied("You may not add cases to this dataset.")
        saved: Case = datasets.add_case(
            dataset=datasets.dataset_named(prompt=self.prompt, name=name, by=user),
            name=self.case.cleaned_data["name"],
            checks=self.case.checks(),
            by=user,
            **case,
        )
        self.shown |= {"saved": saved}
        self.case = CaseForm(prefix="case", initial={"dataset": name})

    def check(self, request: HttpRequest) -> None:
        """Say what is wrong with the form."""
        self.playground.questions()

    def estimate(self) -> None:
        """Say what a run would cost at most, where the form can be read."""
        self.shown["budgets"] = estimates.budgets_for(self.prompt.name, self.principal)
        try:
            parts = estimates.estimates(self.playground.questions(), self.principal)
        except AppError as error:
            self.shown["lacks"] = error.message
            return
        self.shown |= {"estimates": parts, "most_usd": estimates.most_usd(parts)}


ACTIONS = {"run": Page.run, "save": Page.save, "check": Page.check}


def view(model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt_id: int) -> HttpResponse:
    """Show the playground; with POST, do what the button says with the form as it was sent."""
    prompt_for(request, prompt_id, "prompts.view_prompt")
    prompt = prompt_for(request, prompt_id, PERMISSION)
    frame = {"title": f"Playground of {prompt}", "tab": "playground"}
    try:
        principal = payer(user_of(request), prompt)
    except PermissionDenied as error:
        return render_page(
            model_admin, request, "playground", prompt, refusal=error.message, **frame
        )
    page = _page(request, prompt, principal)
    _act(page, request)
    if request.method == "POST":
        page.estimate()
    return render_page(
        model_admin,
        request,
        "playground",
        prompt,
        page=page,
        datasets=prompt.datasets.all(),
        **frame,
        **page.shown,
    )


def _page(request: HttpRequest, prompt: Prompt, principal: Principal) -> Page:
    offers = async_to_sync(service.models)(principal)
    sent = request.POST if request.method == "POST" else None
    asked = request.GET.getlist("version")
    is_saving = sent is not None and sent.get("action") == "save"
    case = CaseForm(sent if is_saving else None, prefix="case")
    if sent is not None and not is_saving:
        case.initial = {name: sent.get(case.add_prefix(name), "") for name in case.fields}
    return Page(prompt, principal, Playground(prompt, offers, sent, asked), case)


def _act(page: Page, request: HttpRequest) -> None:
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        return
    page.is_checked = True
    try:
        action(page, request)
    except AppError as error:
        page.problem = error.message
