"""The page that shows two versions of a prompt side by side, with what changed marked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from prompts.admin.pages import prompt_for, render_page
from prompts.models import PRODUCTION, Prompt, PromptVersion
from prompts.releases.comparison import Part, compare
from prompts.releases.diff import Block, Span

# A screen reader does not tell of `del` and `ins` by itself.
MARKED = "<{0}>{1}[{2}: </span>{3}{1}]</span></{0}>"
UNSEEN = mark_safe('<span class="visually-hidden">')


class ShownBlock(NamedTuple):
    block: Block
    old: SafeString
    new: SafeString


class ShownPart(NamedTuple):
    part: Part
    blocks: list[ShownBlock]


def view(model_admin: "ModelAdmin[Prompt]", request: HttpRequest, prompt_id: int) -> HttpResponse:
    """Compare the versions `from` and `to`; unless told otherwise production with the newest."""
    prompt = prompt_for(request, prompt_id, "prompts.view_promptversion")
    choices = list(prompt.versions.newest_first().values("number", "note"))
    context: dict[str, Any] = {"title": f"Compare versions of {prompt}", "choices": choices}
    if choices:
        old, new = _asked_for(request, prompt, [choice["number"] for choice in choices])
        parts = [shown(part) for part in compare(old.content, new.content)]
        context |= {
            "old": old,
            "new": new,
            "versions": [old, new],
            "changed": [one for one in parts if one.part.change != "unchanged"],
            "unchanged": [one for one in parts if one.part.change == "unchanged"],
        }
    return render_page(model_admin, request, "diff", prompt, tab="diff", **context)


def _asked_for(
    request: HttpRequest, prompt: Prompt, numbers: list[int]
) -> tuple[PromptVersion, PromptVersion]:
    newest, before = numbers[0], numbers[1] if len(numbers) > 1 else numbers[0]
    label = prompt.labels.filter(name=PRODUCTION).values_list("version__number", flat=True).first()
    new = _number(request, "to", newest)
    old = _number(request, "from", label if label and label != newest else before)
    versions = prompt.versions.select_related("author")
    return get_object_or_404(versions, number=old), get_object_or_404(versions, number=new)


def _number(request: HttpRequest, name: str, otherwise: int) -> int:
    sent = request.GET.get(name, "")
    return int(sent) if sent.isdecimal() and len(sent) < 9 else otherwise


def shown(part: Part) -> ShownPart:
    """Return a part with its changes marked, ready for a page."""
    return ShownPart(
        part,
        [
            ShownBlock(block, _side(block.old, "del", "removed"), _side(block.new, "ins", "added"))
            for block in part.blocks
        ],
    )


def _side(spans: Sequence[Span], tag: str, word: str) -> SafeString:
    """Return the lines of one side; the last ends too, or browsers would show no empty one."""
    pieces = (
        format_html(MARKED, tag, UNSEEN, word, span.text) if span.is_changed else span.text
        for span in spans
    )
    ending = "\n" if spans else ""
    return format_html("{}{}", format_html_join("", "{}", ((piece,) for piece in pieces)), ending)
