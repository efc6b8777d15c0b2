"""Rules for texts, a page to try them, and what they have decided."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from core.admin import ReadOnly
from core.errors import AppError
from llm.admin.guardrail_forms import GuardrailRuleForm, TrialForm
from llm.guardrails import trial
from llm.guardrails.labels import label
from llm.models import GuardrailDecision, GuardrailRule

RULE_HELP = (
    "Of the rules for one check, those count that name the most: a prompt before an organization, "
    "that before where the call comes from, that before all. If one of these says off, nothing is "
    "looked for. A change is in force within a second."
)


@admin.register(GuardrailRule)
class GuardrailRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = GuardrailRuleForm
    list_display = [
        *("name", "check_name", "action", "direction", "organization", "prompt_name", "surface"),
        *("position", "is_active"),
    ]
    list_filter = ["is_active", "check_name", "action", "direction", "organization"]
    list_select_related = ["organization"]
    search_fields = ["name", "prompt_name", "organization__name"]
    autocomplete_fields = ["organization"]
    radio_fields = {"action": admin.HORIZONTAL, "direction": admin.HORIZONTAL}
    fieldsets = [
        (None, {"fields": ["name", "check_name", "action", "direction", "is_active"]}),
        (
            "Which calls it counts for",
            {
                "fields": ["organization", "prompt_name", "surface", "position"],
                "description": RULE_HELP,
            },
        ),
        ("For personal data, and for keys and tokens", {"fields": ["kinds", "region"]}),
        ("For hidden instructions", {"fields": ["with_users", "threshold"]}),
        ("For own words and patterns", {"fields": ["words", "patterns"]}),
        ("For moderation by a model", {"fields": ["model"]}),
    ]

    class Media:
        css = {"all": ["css/admin-guardrails.css"]}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.try_it)
        return [path("try/", view, name="llm_guardrailrule_try"), *super().get_urls()]

    def try_it(self, request: HttpRequest) -> HttpResponse:
        """Show what the rules would do about a text. It comes by POST, so that no log has it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = TrialForm(request.POST or None)
        result, problem = None, ""
        if form.is_valid():
            try:
                result = trial.run(form.as_question())
            except AppError as error:
                problem = error.message
        context = {
            **self.admin_site.each_context(request),
            "title": "Try the rules",
            "opts": self.opts,
            "form": form,
            "result": result,
            "problem": problem,
        }
        return TemplateResponse(request, "admin/llm/guardrailrule/try.html", context)


@admin.register(GuardrailDecision)
class GuardrailDecisionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What was found is not kept: only what kind of thing it was, and what came of it."""

    list_display = [
        *("decided_at", "organization", "caller", "rule_name", "check_name", "found", "count"),
        *("direction", "action", "request_id"),
    ]
    list_filter = ["action", "check_name", "direction", "organization", "decided_at"]
    list_select_related = ["organization"]
    search_fields = ["request_id", "user_name", "api_key_prefix", "rule_name", "prompt_name"]
    search_help_text = "Request id, user, key, rule or prompt"
    date_hierarchy = "decided_at"
    show_full_result_count = False

    @admin.display(ordering="user_name")
    def caller(self, decision: GuardrailDecision) -> str:
        return decision.user_name or decision.api_key_prefix

    @admin.display(ordering="kind")
    def found(self, decision: GuardrailDecision) -> str:
        return label(decision.kind)
