"""Budgets over REST: everybody sees those that count their calls, staff keep them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import django.core.exceptions
import django_filters
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from accounts.api import principal_of
from accounts.models import ApiKey, Organization, Scope, User
from accounts.principal import Principal
from billing.models import Budget, BudgetPeriod
from billing.reports.budgets import standing_of
from core.api import BooleanFilter, NewestFirst

VERBS = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


class StaffWrite(BasePermission):
    """Everybody reads; who writes is staff with the permission of the admin.

    A key writes only where it names the scope `data`: one without scopes is made for calls.
    """

    message = (
        "Budgets are kept by staff with the permission, signed in or by a key with scope data."
    )

    def has_permission(self, request: Request, view: APIView) -> bool:
        verb = VERBS.get(str(request.method))
        return request.method in SAFE_METHODS or may(request, verb or "change")


def may(request: Request, verb: str) -> bool:
    """Return whether the caller acts as staff who may do this with budgets."""
    user = request.user
    if not (isinstance(user, User) and user.is_staff and user.has_perm(f"billing.{verb}_budget")):
        return False
    return not isinstance(request.auth, Principal) or Scope.DATA in request.auth.scopes


@extend_schema_field(
    {"type": "string", "format": "decimal", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,12})?$"}
)
class Limit(serializers.DecimalField):
    """An amount in US dollars that is not below 0."""


class BudgetSerializer(serializers.ModelSerializer[Budget]):
    """A limit on spending, and where it stands now; amounts are text, so that they stay exact."""

    organization: Any = serializers.SlugRelatedField(
        slug_field="slug", queryset=Organization.objects.all()
    )
    user: Any = serializers.SlugRelatedField(
        slug_field="username",
        queryset=User.objects.all(),
        required=False,
        allow_null=True,
        help_text="The person whose calls it counts; null: everybody's.",
    )
    api_key: Any = serializers.PrimaryKeyRelatedField(
        queryset=ApiKey.objects.all(),
        required=False,
        allow_null=True,
        help_text="The key whose calls it counts, by its id; null: every key's.",
    )
    limit_usd = Limit(max_digits=20, decimal_places=12, min_value=0)
    spent_usd = serializers.SerializerMethodField(help_text="Spent in the period of now.")
    held_usd = serializers.SerializerMethodField(help_text="Held for calls that are running.")
    room_usd = serializers.SerializerMethodField(help_text="What is left below the limit.")
    forecast_usd = serializers.SerializerMethodField(
        help_text="Spent at the end of the period at this pace; null: too early, or no end."
    )
    resets_at = serializers.SerializerMethodField(help_text="When it starts anew; null: never.")

    class Meta:
        model = Budget
        fields = [
            *("id", "name", "organization", "user", "api_key", "prompt_name", "model", "tag"),
            *("limit_usd", "period", "time_zone", "is_hard", "is_active", "created_at"),
            *("spent_usd", "held_usd", "room_usd", "forecast_usd", "resets_at"),
        ]
        read_only_fields = ["id", "created_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what the admin refuses, by the same rules: those of the model."""
        stored = Budget.objects.get(pk=self.instance.pk) if self.instance else Budget()
        for name, value in attrs.items():
            setattr(stored, name, value)
        try:
            stored.full_clean()
        except django.core.exceptions.ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return attrs

    def get_spent_usd(self, budget: Budget) -> str:
        return f"{standing_of(budget).spent_usd:f}"

    def get_held_usd(self, budget: Budget) -> str:
        return f"{standing_of(budget).held_usd:f}"

    def get_room_usd(self, budget: Budget) -> str:
        return f"{standing_of(budget).room_usd:f}"

    def get_forecast_usd(self, budget: Budget) -> str | None:
        forecast = standing_of(budget).forecast_usd
        return None if forecast is None else f"{forecast:.12f}"

    def get_resets_at(self, budget: Budget) -> datetime | None:
        return standing_of(budget).resets_at


class BudgetFilter(django_filters.FilterSet):
    name = django_filters.CharFilter(lookup_expr="icontains", label="part of the name")
    organization = django_filters.CharFilter(field_name="organization__slug", label="its slug")
    user = django_filters.CharFilter(field_name="user__username", label="user name")
    is_hard = BooleanFilter()
    is_active = BooleanFilter()

    class Meta:
        model = Budget
        fields = [
            *("name", "organization", "user", "api_key", "prompt_name", "model", "tag"),
            *("period", "is_hard", "is_active"),
        ]


class BudgetViewSet(ModelViewSet[Budget]):
    """The budgets that count the caller's calls; for staff who may view budgets, all of them.

    Writing is for staff with the permissions of the admin. What a budget counts and its calendar
    are fixed once it is there; its limit is in force with the very next call.
    """

    queryset = Budget.objects.none()
    serializer_class = BudgetSerializer
    permission_classes = [*ModelViewSet.permission_classes, StaffWrite]
    pagination_class = NewestFirst
    filterset_class = BudgetFilter
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_queryset(self) -> QuerySet[Budget]:
        current = Prefetch("periods", BudgetPeriod.objects.current(), to_attr="current_periods")
        seen = (
            Budget.objects.all()
            if may(self.request, VERBS.get(str(self.request.method), "view"))
            else Budget.objects.visible_to(principal_of(self.request))
        )
        return seen.select_related("organization", "user").prefetch_related(current)

    def perform_create(self, serializer: Any) -> None:
        self._log(serializer.save(), ADDITION)

    def perform_update(self, serializer: Any) -> None:
        self._log(serializer.save(), CHANGE, sorted(serializer.validated_data))

    def perform_destroy(self, instance: Budget) -> None:
        self._log(instance, DELETION)
        instance.delete()

    def _log(self, budget: Budget, action: int, names: Sequence[str] = ()) -> None:
        """Write it into the history that the admin shows."""
        said = f"By the API: {', '.join(names)}" if names else "By the API"
        by = principal_of(self.request).user_id
        if by is not None:
            LogEntry.objects.log_actions(by, [budget], action, said, single_object=True)
