"""API keys as staff see them: made, changed, given a new secret, revoked; never deleted."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, Q, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts import keys
from accounts.key_forms import AdminKeyForm, RotateForm
from accounts.models import ApiKey, Scope, User
from core.errors import InvalidRequest

SHOWN_ONCE = "The key is {} — copy it now, it cannot be shown again."
CHANGED_LATER = (
    *("name", "expires_at", "cache_mode", "allowed_models"),
    *("scopes", "allowed_addresses", "on_disconnect"),
)


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "Active"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        is_expired = Q(expires_at__lte=timezone.now())
        match self.value():
            case "active":
                return queryset.filter(revoked_at=None).exclude(is_expired)
            case "expired":
                return queryset.filter(is_expired, revoked_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


class ScopeFilter(admin.SimpleListFilter):
    title = "what it may be used for"
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(scope.value, str(scope.label)) for scope in Scope]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        if self.value() not in Scope.values:
            return queryset
        return queryset.filter(Q(scopes=[]) | Q(scopes__contains=[self.value()]))


def _people_below(request: HttpRequest) -> QuerySet[User]:
    """Return whose secrets the staff member may see: of other staff, none."""
    if request.user.is_superuser:
        return User.objects.all()
    return User.objects.filter(Q(is_staff=False, is_superuser=False) | Q(pk=request.user.pk))


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys are revoked, never deleted: usage records name them, and who had access is history."""

    form = AdminKeyForm
    change_form_template = "admin/accounts/apikey/change_form.html"
    list_display = [
        *("name", "prefix", "organization", "user", "status", "used_for"),
        *("last_used_at", "created_at", "expires_at"),
    ]
    list_select_related = ["organization", "user"]
    list_filter = [StatusFilter, ScopeFilter, "organization"]
    search_fields = ["name", "prefix", "user__username"]
    search_help_text = "Key, prefix or person"
    autocomplete_fields = ["organization", "user"]
    fieldsets = [
        (None, {"fields": ["organization", "user", "name", "expires_at"]}),
        ("What it may do", {"fields": ["scopes", "allowed_models", "allowed_addresses"]}),
        ("How its calls are answered", {"fields": ["cache_mode", "on_disconnect"]}),
        ("So far", {"fields": ["prefix", "created_at", "last_used_at", "revoked_at"]}),
    ]
    readonly_fields = ["prefix", "created_at", "last_used_at", "revoked_at"]
    actions = ["revoke"]

    @admin.display
    def status(self, key: ApiKey) -> str:
        return key.status

    @admin.display(description="for")
    def used_for(self, key: ApiKey) -> str:
        return ", ".join(key.scopes) or "everything"

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ask first: what is revoked stays so, and programs that use it are refused at once."""
        if "confirmed" not in request.POST:
            return self._page(request, "revoke.html", "Revoke keys?", keys=list(queryset))
        for key in queryset:
            self._revoke(request, key)
        return None

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that revoke a key and that give it a new secret."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/revoke/", wrap(self.revoke_one), name="accounts_apikey_revoke"),
            path("<int:pk>/rotate/", wrap(self.rotate), name="accounts_apikey_rotate"),
            *super().get_urls(),
        ]

    def revoke_one(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Ask, and then end a key's life."""
        key = self._key(request, pk)
        if request.method != "POST":
            return self._page(request, "revoke.html", f"Revoke {key}?", keys=[key], key=key)
        self._revoke(request, key)
        return redirect("admin:accounts_apikey_change", pk)

    def rotate(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Ask what becomes of the old secret, and show the new one once."""
        key = self._key(request, pk)
        if key.user is not None and key.user not in _people_below(request):
            raise PermissionDenied  # whoever sees the secret can do all that its person can
        form = RotateForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            title = f"A new secret for {key}?"
            return self._page(request, "rotate.html", title, key=key, form=form)
        try:
            secret = keys.rotate(key, overlap=form.overlap_asked())
        except InvalidRequest as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.log_change(request, key, "A new secret was made.")
            self.message_user(request, SHOWN_ONCE.format(secret), messages.WARNING)
        return redirect("admin:accounts_apikey_change", pk)

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:-1]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        """Keep who pays for a key as it was when it was made."""
        fixed = ["organization", "user"] if obj else []
        return [*self.readonly_fields, *fixed]

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **options: Any
    ) -> Any:
        if db_field.name == "user":
            options["queryset"] = _people_below(request)
        return super().formfield_for_foreignkey(db_field, request, **options)

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool
    ) -> None:
        filled = {name: getattr(obj, name) for name in CHANGED_LATER}
        if change:
            keys.change(obj, **filled)
            return
        made, secret = keys.create(organization=obj.organization, user=obj.user, **filled)
        obj.pk, obj.prefix = made.pk, made.prefix
        self.message_user(request, SHOWN_ONCE.format(secret), messages.WARNING)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def _key(self, request: HttpRequest, pk: int) -> ApiKey:
        key: ApiKey | None = self.get_object(request, str(pk))
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        if key is None:
            raise Http404
        return key

    def _revoke(self, request: HttpRequest, key: ApiKey) -> None:
        keys.revoke(key)
        self.log_change(request, key, "It was revoked.")
        self.message_user(request, f"Revoked {key}. Every process refuses it within a second.")

    def _page(
        self, request: HttpRequest, template: str, title: str, **values: Any
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            **values,
        }
        return TemplateResponse(request, f"admin/accounts/apikey/{template}", context)
