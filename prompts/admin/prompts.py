"""Where staff write prompts: add a version, look at it, and move the labels."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from accounts.models import User
from core.admin import ReadOnly
from core.errors import AppError
from llm.caching import purges
from prompts import services
from prompts.admin.editor import VersionEditor
from prompts.models import PRODUCTION, Prompt, PromptLabel, PromptVersion
from prompts.releases import services as releases

CSS = {"all": ["prompts/admin.css"]}


@admin.register(Prompt)
class PromptAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Prompts are kept: usage records name them and their versions."""

    list_display = ["name", "organization", "in_production", "newest", "description"]
    list_select_related = ["organization"]
    list_filter = ["organization"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["organization"]
    fieldsets = [
        (None, {"fields": ["organization", "name", "description"]}),
        (
            "Answers that are given again",
            {"fields": ["cache_mode", "cache_seconds", "semantic_threshold", "semantic_model"]},
        ),
    ]
    change_form_template = "admin/prompts/prompt/change.html"
    actions = ["purge_cache"]

    class Media:
        css = CSS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.annotate(  # type: ignore[no-any-return]
            newest_number=Max("versions__number"),
            production_number=Max("labels__version__number", filter=Q(labels__name=PRODUCTION)),
        )

    @admin.display(ordering="production_number", empty_value="none")
    def in_production(self, prompt: Any) -> str | None:
        return f"version {prompt.production_number}" if prompt.production_number else None

    @admin.display(ordering="newest_number", empty_value="none")
    def newest(self, prompt: Any) -> str | None:
        return f"version {prompt.newest_number}" if prompt.newest_number else None

    @admin.action(description="Throw away kept answers of the selected", permissions=["change"])
    def purge_cache(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        for prompt in queryset.select_related("organization"):
            purges.purge(
                organization=prompt.organization, prompt_name=prompt.name, purged_by=_user(request)
            )
            self.log_change(request, prompt, "Kept answers were thrown away.")
        self.message_user(request, "Done. Every process knows within a second.")

    def get_readonly_fields(self, request: HttpRequest, obj: Prompt | None = None) -> list[str]:
        """Keep the name that callers use."""
        return ["organization", "name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Prompt | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the page that writes a version and the button that moves a label."""
        wrap = self.admin_site.admin_view
        own = [
            path(
                "<int:prompt_id>/versions/add/",
                wrap(self.add_version),
                name="prompts_prompt_add_version",
            ),
            path(
                "<int:prompt_id>/labels/",
                wrap(require_POST(self.move_label)),
                name="prompts_prompt_move_label",
            ),
        ]
        return own + super().get_urls()

    def response_add(
        self, request: HttpRequest, obj: Prompt, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead on to the first version: a prompt without one is of no use."""
        if "_save" in request.POST and request.user.has_perm("prompts.add_promptversion"):
            return HttpResponseRedirect(_url("add_version", obj))
        return super().response_add(request, obj, post_url_continue)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        prompt: Prompt | None = kwargs.get("obj")
        if prompt:
            labels = Prefetch("labels", PromptLabel.objects.order_by("name"))
            versions = prompt.versions.newest_first().select_related("author").defer("messages")
            context["versions"] = versions.prefetch_related(labels)
        context["can_add_version"] = request.user.has_perm("prompts.add_promptversion")
        context["can_move_label"] = request.user.has_perm("prompts.change_promptlabel")
        return super().render_change_form(request, context, *args, **kwargs)

    def add_version(self, request: HttpRequest, prompt_id: int) -> HttpResponseBase:
        """Show the editor, filled from the newest version or the one asked for; save what comes."""
        prompt = _prompt_for(request, prompt_id, "prompts.add_promptversion")
        if request.method != "POST":
            return self._editor(request, prompt, VersionEditor(_start(request, prompt)))
        is_published = "publish" in request.POST
        if is_published and not request.user.has_perm("prompts.change_promptlabel"):
            raise PermissionDenied
        editor = VersionEditor(_start(request, prompt), request.POST)
        if not editor.is_valid():
            return self._editor(request, prompt, editor)
        try:
            version = services.add_version(
                prompt=prompt, content=editor.content, note=editor.note, author=_user(request)
            )
        except AppError as error:
            editor.problem = error.message
            return self._editor(request, prompt, editor)
        self._tell(request, prompt, f"Version {version.number} is saved.")
        if editor.found:
            text = f"Callers must send what the text newly asks for: {', '.join(editor.found)}."
            self.message_user(request, text, messages.WARNING)
        if is_published:
            self._move(request, prompt, version.number, PRODUCTION)
        return HttpResponseRedirect(_url("change", prompt))

    def move_label(self, request: HttpRequest, prompt_id: int) -> HttpResponseBase:
        """Point a label at a version, an older one as well."""
        prompt = _prompt_for(request, prompt_id, "prompts.change_promptlabel")
        number = request.POST.get("number", "")
        label = request.POST.get("label", "").strip()
        self._move(request, prompt, int(number) if number.isdecimal() else 0, label)
        return HttpResponseRedirect(_url("change", prompt))

    def _move(self, request: HttpRequest, prompt: Prompt, number: int, label: str) -> None:
        try:
            releases.move_label(prompt=prompt, number=number, name=label, by=_user(request))
        except AppError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            text = f"Version {number} is now “{label}”."
            self.message_user(request, text, messages.SUCCESS)

    def _tell(self, request: HttpRequest, prompt: Prompt, text: str) -> None:
        self.log_change(request, prompt, text)
        self.message_user(request, text, messages.SUCCESS)

    def _editor(self, request: HttpRequest, prompt: Prompt, editor: VersionEditor) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Add a version to {prompt}",
            "opts": self.opts,
            "prompt": prompt,
            "editor": editor,
            "media": self.media,
            "can_publish": request.user.has_perm("prompts.change_promptlabel"),
        }
        return TemplateResponse(request, "admin/prompts/prompt/add_version.html", context)


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A version can be read. It is reached from its prompt, and never changes."""

    fields = ("prompt_link", "number", "said", "takes", "settings", "note", "author", "created_at")
    readonly_fields = [*fields]
    list_display = ["prompt", "number", "note", "author", "created_at"]
    list_select_related = ["prompt", "author"]

    class Media:
        css = CSS

    @admin.display(description="Prompt")
    def prompt_link(self, version: PromptVersion) -> SafeString:
        return format_html('<a href="{}">{}</a>', _url("change", version.prompt), version.prompt)

    @admin.display(description="Messages")
    def said(self, version: PromptVersion) -> SafeString:
        rows = ((message.role, message.template) for message in version.content.messages)
        return format_html_join(
            "", '<p class="prompt-role">{}</p><pre class="prompt-text">{}</pre>', rows
        )

    @admin.display(description="Variables", empty_value="none")
    def takes(self, version: PromptVersion) -> str | None:
        rows = [
            f"{variable.name} ({variable.type}{'' if variable.required else ', optional'})"
            for variable in version.content.variables
        ]
        return ", ".join(rows) or None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # not in the index: versions are listed with their prompt


def _prompt_for(request: HttpRequest, prompt_id: int, permission: str) -> Prompt:
    if not request.user.has_perm(permission):
        raise PermissionDenied
    return get_object_or_404(Prompt, pk=prompt_id)


def _start(request: HttpRequest, prompt: Prompt) -> PromptVersion | None:
    """Return the version that the editor starts from."""
    asked_for = request.GET.get("from", "")
    if asked_for.isdecimal():
        return get_object_or_404(prompt.versions, number=int(asked_for))
    return prompt.versions.newest_first().first()


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the admin lets in nobody else
    return request.user


def _url(page: str, prompt: Prompt) -> str:
    return reverse(f"admin:prompts_prompt_{page}", args=[prompt.pk])
