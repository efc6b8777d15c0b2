"""The REST addresses of `chat`, below `/api/`."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from chat import api

router = SimpleRouter()
router.register("conversations", api.ConversationViewSet, basename="conversation")

app_name = "chat-api"
urlpatterns = [
    *router.urls,
    path("conversations/<uuid:pk>/messages/", api.MessageList.as_view(), name="messages"),
]
