"""The REST addresses of `prompts`, below `/api/`."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from prompts.api.feedback import FeedbackViewSet
from prompts.api.labels import LabelDetail
from prompts.api.prompts import PromptViewSet
from prompts.api.versions import VersionDetail, VersionList

router = SimpleRouter()
router.register("prompts", PromptViewSet, basename="prompt")
router.register("feedback", FeedbackViewSet, basename="feedback")

app_name = "prompts-api"
urlpatterns = [
    *router.urls,
    path("prompts/<slug:name>/versions/", VersionList.as_view(), name="versions"),
    path("prompts/<slug:name>/versions/<int:number>/", VersionDetail.as_view(), name="version"),
    path("prompts/<slug:name>/labels/<slug:label>/", LabelDetail.as_view(), name="label"),
]
