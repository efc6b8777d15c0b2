"""The pages through which people come in, go out and change their password."""

from django.contrib.auth import views
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.messages.views import SuccessMessageMixin
from django.urls import reverse_lazy


class SignIn(views.LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


class SignOut(views.LogoutView):
    """Answers POST only, so that no link and no foreign page can sign anybody out."""


class PasswordChange(SuccessMessageMixin[PasswordChangeForm], views.PasswordChangeView):
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("chat:home")
    success_message = "Your password has been changed."
