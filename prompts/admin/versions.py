"""One version in the admin: it can be read, and never changes."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin import ReadOnly
from prompts.admin.pages import CSS, url_of
from prompts.models import PromptVersion


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
        return format_html('<a href="{}">{}</a>', url_of("change", version.prompt), version.prompt)

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
