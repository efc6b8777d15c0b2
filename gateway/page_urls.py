"""The pages of `gateway`."""

from django.urls import path

from gateway import views

app_name = "keys"
urlpatterns = [
    path("", views.Keys.as_view(), name="mine"),
    path("<int:pk>/change/", views.ChangeKey.as_view(), name="change"),
    path("<int:pk>/revoke/", views.RevokeKey.as_view(), name="revoke"),
    path("<int:pk>/rotate/", views.RotateKey.as_view(), name="rotate"),
]
