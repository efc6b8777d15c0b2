"""The REST addresses of `billing`, below `/api/`."""

from django.urls import path

from billing import api, api_reports

app_name = "billing"
urlpatterns = [
    path("usage/", api.UsageRecordList.as_view(), name="usage"),
    path("usage/summary/", api_reports.UsageSummary.as_view(), name="usage-summary"),
]
