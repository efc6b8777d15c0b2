"""People, organizations and keys. A key's secret is shown once, when it is made."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from accounts import keys
from accounts.forms import AdminSignInForm
from accounts.models import ApiKey, Membership, Organization, User

admin.site.login_form = AdminSignInForm


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ["user", "organization"]


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "slug", "people", "is_active", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.annotate(people_count=Count("memberships"))  # type: ignore[no-any-return]

    @admin.display(ordering="people_count")
    def people(self, organization: Any) -> int:
        return int(organization.people_count)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Staff who are not superusers cannot make themselves, or become, one."""

    inlines = [MembershipInline]
    list_display = ["username", "email", "is_staff", "is_active", "last_login"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        if request.user.is_superuser:
            return []
        return ["is_staff", "is_superuser", "groups", "user_permissions"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not is_above and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not is_above and super().has_delete_permission(request, obj)


class ApiKeyForm(ModelForm[ApiKey]):
    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        user, organization = fields.get("user"), fields.get("organization")
        if user and organization and not keys.is_member(user, organization):
            self.add_error("user", f"{user} is not a member of {organization}.")
        return fields


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys are revoked, never deleted: usage records name them, and who had access is history."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "organization", "user", "status", "created_at", "expires_at"]
    list_select_related = ["organization", "user"]
    list_filter = ["organization"]
    search_fields = ["name", "prefix"]
    autocomplete_fields = ["organization", "user"]
    fields = [
        *("organization", "user", "name", "expires_at", "allowed_models", "cache_mode"),
        *("prefix", "created_at", "revoked_at"),
    ]
    readonly_fields = ["prefix", "created_at", "revoked_at"]
    actions = ["revoke"]

    @admin.display
    def status(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        if key.expires_at and key.expires_at <= timezone.now():
            return "expired"
        return "active"

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            keys.revoke(key)
        self.message_user(request, "Revoked. Every process refuses them within a second.")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        """Keep who pays for a key as it was when it was made."""
        fixed = ["organization", "user"] if obj else []
        return [*self.readonly_fields, *fixed]

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool
    ) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made, secret = keys.create(
            organization=obj.organization,
            user=obj.user,
            name=obj.name,
            expires_at=obj.expires_at,
            cache_mode=obj.cache_mode,
            allowed_models=obj.allowed_models,
        )
        obj.pk, obj.prefix = made.pk, made.prefix
        text = f"The key is {secret} — copy it now, it cannot be shown again."
        self.message_user(request, text, messages.WARNING)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False
