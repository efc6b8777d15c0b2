"""The REST addresses of `billing`, below `/api/`."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing import api, api_budgets, api_reports

router = SimpleRouter()
router.register("budgets", api_budgets.BudgetViewSet, basename="budget")

app_name = "billing"
urlpatterns = [
    path("usage/", api.UsageRecordList.as_view(), name="usage"),
    path("usage/summary/", api_reports.UsageSummary.as_view(), name="usage-summary"),
    *router.urls,
]
