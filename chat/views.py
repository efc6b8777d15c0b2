"""The pages of `chat`. Without JavaScript a form asks, and the page loads itself anew."""

from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

import core.errors
import llm.service
from accounts.models import User
from accounts.principal import Principal
from accounts.services import principal_for
from chat import generation, services
from chat.models import Conversation, Message
from chat.reader import halves
from core import address, language
from core.errors import AppError, InvalidRequest, NotFound
from core.ids import new_id

LISTED = 50  # conversations


class QuestionForm(forms.Form):
    """What the composer sends."""

    text = forms.CharField(strip=False)
    client_request_id = forms.UUIDField()
    model = forms.CharField(required=False, max_length=200)

    def question(self) -> services.Question:
        """Return the question, or raise `InvalidRequest` naming what is wrong."""
        if not self.is_valid():
            field, problems = next(iter(self.errors.items()))
            message = "Write a question first." if field == "text" else f"{field}: {problems[0]}"
            raise InvalidRequest(message, param=field)
        return services.Question(**self.cleaned_data)


@method_decorator(never_cache, name="dispatch")  # nor is it there for who presses Back later
class ChatView(LoginRequiredMixin, View):
    """A page for a signed-in person of an organization."""

    principal: Principal

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        try:
            self.principal = principal_for(request.user)
            return super().dispatch(request, *args, **kwargs)
        except core.errors.PermissionDenied as error:
            raise PermissionDenied(error.message) from error
        except NotFound as error:
            raise Http404(error.message) from error

    def page(self, template: str, *, error: AppError | None = None, **values: Any) -> HttpResponse:
        """Return a page with the list of conversations and a composer; it keeps a refused text."""
        context: dict[str, Any] = {
            "conversations": Conversation.objects.visible_to(self.principal).newest_first()[
                :LISTED
            ],
            "models": async_to_sync(llm.service.models)(self.principal),
            "model": services.DEFAULT_MODEL,
            "client_request_id": new_id(),
            "text": self.request.POST.get("text", ""),
            "error": error,
            **values,
        }
        context["is_offered"] = context["model"] in {offer.id for offer in context["models"]}
        status = error.http_status if error else 200
        response = render(self.request, template, context, status=status)
        if error and error.retry_after_header is not None:
            response["Retry-After"] = error.retry_after_header
        return response


class Home(ChatView):
    """The person's conversations, and a composer that begins a new one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page("chat/home.html")

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            services.count_question(self.principal)
            turn = services.start_conversation(
                principal=self.principal, question=QuestionForm(request.POST).question()
            )
        except NotFound:
            raise
        except AppError as error:
            return self.page("chat/home.html", error=error)
        async_to_sync(generation.start)(
            turn, address.of_request(request), language.of_request(request)
        )
        return redirect("chat:conversation", turn.conversation)


class ConversationPage(ChatView):
    """One conversation as it stands; a script then follows what is being written."""

    def get(self, request: HttpRequest, conversation_id: UUID) -> HttpResponse:
        return self._show(conversation_id)

    def post(self, request: HttpRequest, conversation_id: UUID) -> HttpResponse:
        try:
            services.count_question(self.principal)
            turn = services.send_message(
                principal=self.principal,
                conversation_id=conversation_id,
                question=QuestionForm(request.POST).question(),
            )
        except NotFound:
            raise
        except AppError as error:
            return self._show(conversation_id, error)
        async_to_sync(generation.start)(
            turn, address.of_request(request), language.of_request(request)
        )
        return redirect("chat:conversation", turn.conversation)

    def _show(self, conversation_id: UUID, error: AppError | None = None) -> HttpResponse:
        mine = Conversation.objects.visible_to(self.principal)
        conversation = mine.filter(pk=conversation_id).first()
        if conversation is None:
            raise NotFound("There is no such conversation.")
        branch = [_shown(message) for message in conversation.branch()]
        return self.page(
            "chat/conversation.html",
            error=error,
            conversation=conversation,
            branch=branch,
            running=next((m["message"] for m in branch if m["message"].is_running), None),
            model=conversation.model,
        )


class StopAnswer(ChatView):
    """Stop for whoever has no script."""

    def post(self, request: HttpRequest, message_id: UUID) -> HttpResponse:
        services.stop(principal=self.principal, message_id=message_id)
        async_to_sync(generation.stop)(message_id)
        message = Message.objects.visible_to(self.principal).get(pk=message_id)
        return redirect("chat:conversation", message.conversation_id)


def _shown(message: Message) -> dict[str, Any]:
    html, rest = halves(message)
    return {"message": message, "html": html, "rest": rest}
