"""The pages through which people come in, go out and change their password."""

from http import HTTPStatus

from django.contrib import admin
from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse_lazy

from accounts.forms import SignInForm


class SignIn(views.LoginView):
    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        return _refused_too_often(super().form_invalid(form), form)


def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The admin's own page, which says by its status where there were too many wrong passwords."""
    response = admin.site.login(request)
    shown = response.context_data if isinstance(response, TemplateResponse) else None
    return _refused_too_often(response, (shown or {}).get("form"))


def _refused_too_often(response: HttpResponse, form: object) -> HttpResponse:
    if isinstance(form, SignInForm) and form.retry_after is not None:
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response["Retry-After"] = form.retry_after
    return response


class SignOut(views.LogoutView):
    """Answers POST only, so that no link and no foreign page can sign anybody out."""


class PasswordChange(SuccessMessageMixin[PasswordChangeForm], views.PasswordChangeView):
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("chat:home")
    success_message = "Your password has been changed."
