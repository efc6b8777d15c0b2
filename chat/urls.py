"""The pages of `chat`."""

from django.urls import path

from chat import views

app_name = "chat"
urlpatterns = [
    path("", views.Home.as_view(), name="home"),
    path("chat/<uuid:conversation_id>/", views.ConversationPage.as_view(), name="conversation"),
    path("chat/stop/<uuid:message_id>/", views.StopAnswer.as_view(), name="stop"),
]
