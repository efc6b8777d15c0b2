"""The REST addresses of `billing`, below `/api/`."""

from django.urls import path

from billing import api

app_name = "billing"
urlpatterns = [path("usage/", api.UsageRecordList.as_view(), name="usage")]
