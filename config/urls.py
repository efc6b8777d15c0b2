"""Every page and REST address; `/v1/*` and `/ws/*` are in `asgi.py`."""

from django.contrib import admin
from django.urls import include, path

from accounts.views import admin_sign_in
from config.docs import Docs
from core.views import healthz

admin.site.site_header = admin.site.site_title = "Parley"
admin.site.index_title = "Administration"
admin.site.enable_nav_sidebar = False  # tables of money need the room

urlpatterns = [
    path("", include("chat.urls")),
    path("accounts/", include("accounts.urls")),
    path("usage/", include("billing.page_urls")),
    path("keys/", include("gateway.page_urls")),
    path("api/", include("config.api_urls")),
    path("docs", Docs.as_view(), name="docs"),
    path("admin/login/", admin_sign_in),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
]

handler403 = "core.views.permission_denied"
handler404 = "core.views.page_not_found"
handler500 = "core.views.server_error"
