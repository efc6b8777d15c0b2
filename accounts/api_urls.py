"""The REST addresses of `accounts`, below `/api/`."""

from rest_framework.routers import SimpleRouter

from accounts import api_schema  # noqa: F401 - it is found when it is imported
from accounts.api_keys import KeyViewSet

router = SimpleRouter()
router.register("keys", KeyViewSet, basename="key")

app_name = "accounts-api"
urlpatterns = router.urls
