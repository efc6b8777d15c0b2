"""The REST addresses of `gateway`, below `/api/`; `/v1/*` is in `routing.py`."""

from django.urls import path

from gateway import api

app_name = "gateway"
urlpatterns = [path("cache/wrong-hit/", api.WrongHit.as_view(), name="wrong-hit")]
