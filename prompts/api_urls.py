"""The REST addresses of `prompts`, below `/api/`."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from prompts.api import prompts as api

router = SimpleRouter()
router.register("prompts", api.PromptViewSet, basename="prompt")

app_name = "prompts-api"
urlpatterns = [
    *router.urls,
    path("prompts/<slug:name>/versions/", api.VersionList.as_view(), name="versions"),
    path("prompts/<slug:name>/versions/<int:number>/", api.VersionDetail.as_view(), name="version"),
    path("prompts/<slug:name>/labels/<slug:label>/", api.LabelDetail.as_view(), name="label"),
]
