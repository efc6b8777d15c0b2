"""One version in the admin: it can be read, and never changes."""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin import ReadOnly
from prompts.admin.pages import CSS, url_of
from prompts.content import MessageTemplate
from prompts.models import PromptVersion


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A version can be read. It is reached from its prompt, and never changes."""

    fields = (
        *(
            "prompt_link",
            "number",
            "said",
            "said_elsewhere",
            "takes",
            "asks_for",
            "calls",
            "schema",
        ),
        *("note", "author", "created_at"),
    )
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
        return _shown(version.content.messages)

    @admin.display(description="In other languages", empty_value="none")
    def said_elsewhere(self, version: PromptVersion) -> SafeString | None:
        locales = version.content.locales
        rows = ((tag, _shown(locales[tag])) for tag in sorted(locales))
        return format_html_join("", "<h3>{}</h3>{}", rows) if locales else None

    @admin.display(description="Variables", empty_value="none")
    def takes(self, version: PromptVersion) -> str | None:
        rows = [
            f"{variable.name} ({variable.type}{'' if variable.required else ', optional'})"
            for variable in version.content.variables
        ]
        return ", ".join(rows) or None

    @admin.display(description="Settings", empty_value="none")
    def asks_for(self, version: PromptVersion) -> SafeString | None:
        return _json(version.settings)

    @admin.display(description="Tools", empty_value="none")
    def calls(self, version: PromptVersion) -> SafeString | None:
        return _json(version.tools)

    @admin.display(description="Output schema", empty_value="none")
    def schema(self, version: PromptVersion) -> SafeString | None:
        return _json(version.output_schema)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # not in the index: versions are listed with their prompt


def _shown(messages: Sequence[MessageTemplate]) -> SafeString:
    rows = ((message.role, message.template) for message in messages)
    return format_html_join(
        "", '<p class="prompt-role">{}</p><pre class="prompt-text">{}</pre>', rows
    )


def _json(value: Any) -> SafeString | None:
    """Return JSON to read; `None` where there is nothing in it."""
    if not value:
        return None
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="prompt-text">{}</pre>', text)
