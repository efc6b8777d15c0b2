"""How the OpenAPI document tells of an API key; imported where the addresses are."""

from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from accounts.api import ApiKeyAuthentication

# Classes of it let in keys with other scopes, and are one way to come in.
set_override(ApiKeyAuthentication, "suppress_collision_warning", True)


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer pk-...`."""

    target_class = "accounts.api.ApiKeyAuthentication"
    match_subclasses = True
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key. For all below /api/ it needs the scope `data`, if it has "
            "scopes; for feedback `chat` is enough, too.",
        }
