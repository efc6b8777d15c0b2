"""The pages of `billing`."""

from django.urls import path

from billing import views

app_name = "usage"
urlpatterns = [path("", views.MyUsage.as_view(), name="mine")]
