"""The page where people make, change, replace and revoke the keys of their programs."""

from decimal import Decimal
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

import core.errors
from accounts import keys
from accounts.key_forms import ChangeKeyForm, KeyForm, RotateForm
from accounts.models import ApiKey, Organization, User, is_manager
from accounts.principal import Principal
from accounts.services import principal_for
from billing.money import as_text
from gateway.key_spending import spent_this_month


class KeyRow(NamedTuple):
    """A key as the list shows it."""

    key: ApiKey
    spent: str


@method_decorator(never_cache, name="dispatch")  # a secret is shown once, and not kept by a browser
class KeyView(LoginRequiredMixin, View):
    """A page for a signed-in person about the keys that they may manage."""

    principal: Principal
    person: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.person = request.user
        try:
            self.principal = principal_for(self.person)
        except core.errors.PermissionDenied as error:
            raise PermissionDenied(error.message) from error
        return super().dispatch(request, *args, **kwargs)

    def key(self, pk: int) -> ApiKey:
        """Return a key that is in force, or raise `Http404`."""
        found = ApiKey.objects.visible_to(self.principal).filter(pk=pk, revoked_at=None).first()
        if found is None:
            raise Http404("There is no such key.")
        return found

    def organization(self) -> Organization | None:
        """Return the organization whose keys the person manages, or None."""
        if not is_manager(self.principal):
            return None
        return Organization.objects.get(pk=self.principal.organization_id)

    def show_secret(self, key: ApiKey, secret: str) -> HttpResponse:
        """Return the page that shows a secret, which is nowhere else."""
        context = {"key": key, "secret": secret, "address": self._address()}
        return render(self.request, "gateway/key_made.html", context)

    def show_list(self, form: KeyForm) -> HttpResponse:
        """Return the page with all keys and the form for a new one."""
        visible = ApiKey.objects.visible_to(self.principal).select_related("user", "organization")
        visible = visible.order_by(F("revoked_at").desc(nulls_first=True), "-created_at")
        spent = spent_this_month(visible)
        rows = [KeyRow(key, as_text(spent.get(key.pk, Decimal(0)))) for key in visible]
        context = {
            "mine": [row for row in rows if row.key.user_id == self.person.pk],
            "others": [row for row in rows if row.key.user_id != self.person.pk],
            "organization": self.organization(),
            "form": form,
            "address": self._address(),
        }
        status = 400 if form.errors else 200
        return render(self.request, "gateway/keys.html", context, status=status)

    def _address(self) -> str:
        return self.request.build_absolute_uri("/v1")


class Keys(KeyView):
    """The person's keys; whoever manages the organization sees all of its keys."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show_list(KeyForm(organization=self.organization()))

    def post(self, request: HttpRequest) -> HttpResponse:
        organization = self.organization()
        form = KeyForm(request.POST, organization=organization)
        if not form.is_valid():
            return self.show_list(form)
        key, secret = keys.create(
            organization=Organization.objects.get(pk=self.principal.organization_id),
            name=form.cleaned_data["name"],
            user=None if form.is_for_organization else self.person,
            **form.terms(),
        )
        return self.show_secret(key, secret)


class ChangeKey(KeyView):
    """Give a key another name, other rights or another end."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._ask(pk, ChangeKeyForm(instance=self.key(pk)))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        key = self.key(pk)
        form = ChangeKeyForm(request.POST, instance=key)
        if not form.is_valid():
            return self._ask(pk, form)
        keys.change(key, name=form.cleaned_data["name"], **form.terms())
        messages.success(request, f"Changed {key}. Every process knows it within a second.")
        return redirect("keys:mine")

    def _ask(self, pk: int, form: ChangeKeyForm) -> HttpResponse:
        # The form's own key has what was filled in, wrong or right: the page names the saved one.
        context = {"key": self.key(pk), "form": form}
        status = 400 if form.errors else 200
        return render(self.request, "gateway/key_change.html", context, status=status)


class RevokeKey(KeyView):
    """Ask, and then end a key's life."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return render(request, "gateway/key_revoke.html", {"key": self.key(pk)})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        key = self.key(pk)
        keys.revoke(key)
        messages.success(request, f"Revoked {key}. It is refused within a second.")
        return redirect("keys:mine")


class RotateKey(KeyView):
    """Ask what becomes of the old secret, and show the new one."""

    def key(self, pk: int) -> ApiKey:
        """Return a key whose secret the person may have, or raise `Http404`."""
        key = super().key(pk)
        if not ApiKey.objects.replaceable_by(self.principal).filter(pk=key.pk).exists():
            raise Http404("Only its person gets a new secret of this key.")
        return key

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._ask(self.key(pk), RotateForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        key, form = self.key(pk), RotateForm(request.POST)
        if not form.is_valid():
            return self._ask(key, form)
        return self.show_secret(key, keys.rotate(key, overlap=form.overlap_asked()))

    def _ask(self, key: ApiKey, form: RotateForm) -> HttpResponse:
        status = 400 if form.errors else 200
        context = {"key": key, "form": form}
        return render(self.request, "gateway/key_rotate.html", context, status=status)
