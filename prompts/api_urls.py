"""The REST addresses of `prompts`, below `/api/`."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from prompts.api.experiments import ExperimentViewSet
from prompts.api.feedback import FeedbackViewSet
from prompts.api.files import PromptExport, PromptImport
from prompts.api.labels import LabelDetail, LabelList, LabelRollback
from prompts.api.moves import MoveViewSet
from prompts.api.prompts import PromptViewSet
from prompts.api.testing import CaseDetail, CaseList, DatasetViewSet, ResultList, RunViewSet
from prompts.api.versions import VersionDetail, VersionList

router = SimpleRouter()
router.register("prompts", PromptViewSet, basename="prompt")
router.register("experiments", ExperimentViewSet, basename="experiment")
router.register("feedback", FeedbackViewSet, basename="feedback")
router.register("datasets", DatasetViewSet, basename="dataset")
router.register("test-runs", RunViewSet, basename="test-run")

app_name = "prompts-api"
urlpatterns = [
    path("prompts/import/", PromptImport.as_view(), name="import"),
    *router.urls,
    path("prompts/<slug:name>/export/", PromptExport.as_view(), name="export"),
    path("datasets/<int:pk>/cases/", CaseList.as_view(), name="cases"),
    path("datasets/<int:pk>/cases/<int:case_id>/", CaseDetail.as_view(), name="case"),
    path("test-runs/<int:pk>/results/", ResultList.as_view(), name="test-results"),
    path("prompts/<slug:name>/versions/", VersionList.as_view(), name="versions"),
    path("prompts/<slug:name>/versions/<int:number>/", VersionDetail.as_view(), name="version"),
    path("prompts/<slug:name>/labels/", LabelList.as_view(), name="labels"),
    path("prompts/<slug:name>/labels/<slug:label>/", LabelDetail.as_view(), name="label"),
    path(
        "prompts/<slug:name>/labels/<slug:label>/rollback/",
        LabelRollback.as_view(),
        name="label-rollback",
    ),
    path(
        "prompts/<slug:name>/label-moves/",
        MoveViewSet.as_view({"get": "list"}),
        name="label-moves",
    ),
    path(
        "prompts/<slug:name>/label-moves/<int:pk>/",
        MoveViewSet.as_view({"get": "retrieve"}),
        name="label-move",
    ),
    *(
        path(
            f"prompts/<slug:name>/label-moves/<int:pk>/{decision}/",
            MoveViewSet.as_view({"post": decision}),
            name=f"label-move-{decision}",
        )
        for decision in ("confirm", "refuse", "withdraw")
    ),
]
