"""Where a connection goes: `/v1/*` and `/ws/*` to Channels consumers, the rest to Django."""

import os
from typing import Any, cast

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

# Consumers import models, which need the application registry that the line above has filled.
from chat.routing import websocket_urlpatterns as chat_sockets  # noqa: E402
from config.lifespan import Lifespan  # noqa: E402
from core.request_id import RequestId  # noqa: E402
from gateway.routing import http_urlpatterns  # noqa: E402
from prompts.playground.routing import websocket_urlpatterns as prompt_sockets  # noqa: E402

application = Lifespan(
    RequestId(
        ProtocolTypeRouter(
            {
                "http": URLRouter([*http_urlpatterns, re_path("", cast(Any, django_application))]),
                "websocket": AllowedHostsOriginValidator(
                    AuthMiddlewareStack(URLRouter([*chat_sockets, *prompt_sockets]))
                ),
            }
        )
    )
)
