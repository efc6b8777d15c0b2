"""Where staff plan an experiment, start it, look at what comes of it, and end it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from core.errors import AppError
from prompts.admin.experiment_forms import CourseEditor, PlanEditor
from prompts.admin.experiment_pages import sections
from prompts.admin.pages import user_of
from prompts.experiments import plans, results, services
from prompts.experiments.fitting import misfits
from prompts.experiments.forecast import forecast
from prompts.models import Experiment, ExperimentState, MoveState, Prompt

CHANGE = "prompts.change_experiment"
PROMOTE = "prompts.change_promptlabel"
LONGEST_NUMBER = 18  # digits


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Drafts can be changed and deleted; what has run is kept."""

    list_display = ["name", "prompt", "state", "units", "says", "started_at"]
    list_select_related = ["prompt"]
    list_filter = ["state", "prompt__organization"]
    search_fields = ["name", "prompt__name", "hypothesis"]
    change_list_template = "admin/prompts/experiment/change_list.html"
    actions = None  # not even deleting: among several might be what has run

    class Media:
        css = {"all": ["prompts/admin.css", "prompts/experiments.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.annotate(exposed=Count("exposures"))  # type: ignore[no-any-return]

    @admin.display(description="Units", ordering="exposed")
    def units(self, experiment: Any) -> str:
        return f"{experiment.exposed:,}"

    @admin.display(description="What it says", empty_value="")
    def says(self, experiment: Experiment) -> str | None:
        report = results.last_report(experiment)
        return report.text if report else None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_kept = obj is not None and obj.state != ExperimentState.DRAFT
        return not is_kept and super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: Experiment) -> None:
        """Delete a draft; somebody may have started it a moment ago."""
        services.delete(experiment=obj)

    def get_urls(self) -> list[URLPattern]:
        """Add the buttons, each of which is one service."""
        own = [("start", self.start), ("stop", self.stop), ("promote", self.promote)]
        return [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"prompts_experiment_{name}",
            )
            for name, view in own
        ] + super().get_urls()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for the prompt first: its versions are what arms are made of."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        number = request.GET.get("prompt", "")
        if not (number.isdecimal() and len(number) <= LONGEST_NUMBER):
            return self._page(request, "choose", title="New experiment", prompts=_comparable())
        prompt = get_object_or_404(Prompt, pk=int(number))
        editor = PlanEditor(prompt, sent=request.POST or None)
        if request.method == "POST" and (plan := editor.plan()):
            try:
                made = services.create(prompt=prompt, plan=plan, created_by=user_of(request))
            except AppError as error:
                editor.problem = error.message
            else:
                self.message_user(request, "The draft is saved.", messages.SUCCESS)
                return HttpResponseRedirect(_url("change", made))
        title = f"New experiment on {prompt}"
        return self._page(request, "plan", title=title, prompt=prompt, editor=editor)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a draft to be changed, or what came of an experiment."""
        experiment = self.get_object(request, object_id)
        if experiment is None or not self.has_view_permission(request, experiment):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST" and not self.has_change_permission(request, experiment):
            raise PermissionDenied
        if experiment.state == ExperimentState.DRAFT:
            return self._draft(request, experiment)
        return self._results(request, experiment)

    def _draft(self, request: HttpRequest, experiment: Experiment) -> HttpResponse:
        known = plans.plan_of(experiment)
        editor = PlanEditor(experiment.prompt, known, request.POST or None)
        if request.method == "POST" and (plan := editor.plan()):
            problem = self._edit(request, experiment, plan)
            if not problem:
                return HttpResponseRedirect(_url("change", experiment))
            editor.problem = problem
        return self._page(
            request,
            "plan",
            experiment,
            editor=editor,
            prompt=experiment.prompt,
            forecast=forecast(experiment.prompt, known),
            misfits=misfits(experiment.prompt, known),
        )

    def _results(self, request: HttpRequest, experiment: Experiment) -> HttpResponse:
        course = problem = None
        if experiment.state == ExperimentState.RUNNING:
            course = CourseEditor(plans.plan_of(experiment), request.POST or None)
            if request.method == "POST":
                problem = self._steer(request, experiment, course)
                if not problem:
                    return HttpResponseRedirect(_url("change", experiment))
        report = results.report_of(experiment)
        return self._page(
            request,
            "results",
            experiment,
            report=report,
            sections=sections(experiment, report),
            course=course,
            problem=problem,
            can_promote=request.user.has_perm(PROMOTE) and request.user.has_perm(CHANGE),
        )

    def _steer(self, request: HttpRequest, experiment: Experiment, course: CourseEditor) -> str:
        """Change weights and ramp; return what is wrong with what was sent."""
        try:
            plan = course.plan()
        except AppError as error:
            return error.message
        return self._edit(request, experiment, plan) if plan else "Some fields are wrong."

    def _edit(self, request: HttpRequest, experiment: Experiment, plan: plans.Plan) -> str:
        try:
            services.edit(experiment=experiment, plan=plan, edited_by=user_of(request))
        except AppError as error:
            return error.message
        self.message_user(request, "Saved.", messages.SUCCESS)
        return ""

    def start(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Begin to split the calls."""
        experiment = _experiment_for(request, pk)
        said = "It runs: calls are split within a second."
        return self._done(request, experiment, said, services.start, started_by=user_of(request))

    def stop(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """End it without a winner."""
        return self._done(
            request,
            _experiment_for(request, pk),
            "It is stopped: within a second all calls have the label's version again.",
            services.stop,
            reason=request.POST.get("reason", ""),
            stopped_by=user_of(request),
        )

    def promote(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Let the label point at an arm's version."""
        experiment = _experiment_for(request, pk, PROMOTE)
        arm = get_object_or_404(experiment.arms, name=request.POST.get("arm", ""))
        try:
            move = services.promote(experiment=experiment, arm=arm, promoted_by=user_of(request))
        except AppError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            waits = move is not None and move.state == MoveState.PROPOSED
            text = f"“{experiment.label}” has the version of arm {arm}."
            if waits:
                text = f"A second person has to confirm that “{experiment.label}” moves."
            self.message_user(request, text, messages.WARNING if waits else messages.SUCCESS)
        return HttpResponseRedirect(_url("change", experiment))

    def _done(
        self, request: HttpRequest, experiment: Experiment, said: str, service: Any, **fields: Any
    ) -> HttpResponseBase:
        try:
            service(experiment=experiment, **fields)
        except AppError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.message_user(request, said, messages.SUCCESS)
        return HttpResponseRedirect(_url("change", experiment))

    def _page(
        self,
        request: HttpRequest,
        template: str,
        experiment: Experiment | None = None,
        **context: Any,
    ) -> HttpResponse:
        everything = {
            **self.admin_site.each_context(request),
            "title": experiment and f"{experiment} on {experiment.prompt}",
            "opts": self.opts,
            "media": self.media,
            "experiment": experiment,
            "can_change": self.has_change_permission(request, experiment),
            "can_delete": self.has_delete_permission(request, experiment),
            **context,
        }
        return TemplateResponse(request, f"admin/prompts/experiment/{template}.html", everything)


def _comparable() -> QuerySet[Prompt]:
    """Return the prompts with which an experiment can be made."""
    counted = Prompt.objects.annotate(count=Count("versions")).filter(count__gte=1)
    return counted.select_related("organization").order_by("organization__name", "name")


def _experiment_for(request: HttpRequest, pk: int, *more: str) -> Experiment:
    if not request.user.has_perms([CHANGE, *more]):
        raise PermissionDenied
    return get_object_or_404(Experiment, pk=pk)


def _url(page: str, experiment: Experiment) -> str:
    return reverse(f"admin:prompts_experiment_{page}", args=[experiment.pk])
