"""Alerts by e-mail: plain text, and the same as simple HTML."""

import smtplib
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from billing.alerts.message import DeliveryFailed, Destination, Message

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def send(message: Message, destination: Destination, now: datetime) -> None:
    """Hand the message to the mail server; raise `DeliveryFailed` if it does not take it."""
    if settings.EMAIL_BACKEND == SMTP and not settings.EMAIL_HOST:
        raise DeliveryFailed("No mail server is set: EMAIL_HOST is empty.")
    try:
        _mail(message, destination).send()
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryFailed("The mail server refused Parley's sign-in.") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryFailed("The mail server refused the addresses.") from error
    except smtplib.SMTPSenderRefused as error:
        raise DeliveryFailed("The mail server refused the sender, DEFAULT_FROM_EMAIL.") from error
    except smtplib.SMTPException as error:
        name = type(error).__name__
        raise DeliveryFailed(f"The mail server did not take it ({name}).") from error
    except OSError as error:
        raise DeliveryFailed("There is no connection to the mail server.") from error


def _mail(message: Message, destination: Destination) -> EmailMultiAlternatives:
    context = {"message": message}
    mail = EmailMultiAlternatives(
        subject=f"[Parley] {message.title}",
        body=render_to_string("billing/email_alert.txt", context),
        to=list(destination.recipients),
        # The same in each attempt: mail servers and readers drop doubles by it.
        headers={"Message-ID": f"<{message.id}@parley>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("billing/email_alert.html", context), "text/html")
    return mail
