"""People and organizations, and from `key_admin` their keys."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from accounts.forms import AdminSignInForm
from accounts.key_admin import ApiKeyAdmin
from accounts.models import Membership, Organization, User

__all__ = ["ApiKeyAdmin", "MembershipInline", "OrganizationAdmin", "UserAdmin"]

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
