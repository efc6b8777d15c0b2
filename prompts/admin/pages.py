"""What the pages of one prompt share: whose it is, who looks at it, and the frame around it."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import User
from prompts.models import Prompt

CSS = {"all": ["prompts/admin.css", "prompts/releases.css"]}


def prompt_for(request: HttpRequest, prompt_id: int, permission: str) -> Prompt:
    """Return the prompt of an address, for those who have the permission."""
    if not request.user.has_perm(permission):
        raise PermissionDenied
    return get_object_or_404(Prompt, pk=prompt_id)


def user_of(request: HttpRequest) -> User:
    """Return who is signed in."""
    assert isinstance(request.user, User)  # noqa: S101 - the admin lets in nobody else
    return request.user


def url_of(page: str, prompt: Prompt, *more: Any) -> str:
    """Return the address of one of the prompt's pages."""
    return reverse(f"admin:prompts_prompt_{page}", args=[prompt.pk, *more])


def render_page(
    model_admin: "ModelAdmin[Prompt]",
    request: HttpRequest,
    template: str,
    prompt: Prompt,
    **context: Any,
) -> HttpResponse:
    """Return one of the prompt's pages; `title` and `tab` are part of its context."""
    everything = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "prompt": prompt,
        **context,
    }
    return TemplateResponse(request, f"admin/prompts/prompt/{template}.html", everything)
