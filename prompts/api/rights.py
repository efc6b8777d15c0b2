"""Whose prompts an address names, and who may write them."""

from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework.request import Request

from accounts.api import principal_of
from accounts.models import Scope, User
from accounts.principal import Principal
from core.errors import PermissionDenied
from prompts.models import Prompt


def prompt_named(request: Request, named: dict[str, Any]) -> Prompt:
    """Return the prompt that an address names."""
    return get_object_or_404(Prompt.objects.visible_to(principal_of(request)), name=named["name"])


def check_staff(request: Request, permission: str) -> User:
    """Return who asks; raise `PermissionDenied` unless they could do the same in the admin.

    A key writes only where it names the scope `data`: one without scopes is made for calls.
    """
    person = request.user
    if not (isinstance(person, User) and person.is_staff and person.has_perm(permission)):
        raise PermissionDenied(f"This needs the permission `{permission}`, which staff may have.")
    if isinstance(request.auth, Principal) and Scope.DATA not in request.auth.scopes:
        raise PermissionDenied(f"To write with a key, it needs the scope `{Scope.DATA}`.")
    return person
