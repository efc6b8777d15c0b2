"""Why a model did not answer, and what to do about it.

"Counts" says whether the error speaks against the deployment, so that its breaker counts it.

AppError
├── ModelNotFound                404  no route of that name
├── ModelUnpriced                403  no price, and the settings refuse that
├── UnsupportedParameter         400  nobody who could answer can honour it
├── NoDeployment                 503  all who could answer have a cooldown
└── ProviderError                     a vendor's call failed        retry  fall back       counts
    ├── AuthenticationFailed     502  its key is refused              no*    yes             no
    ├── ProviderPermissionDenied 502  its key may not do this         no*    yes             no
    ├── RequestRefused           400  it calls the request wrong      no     no              no
    ├── ContextTooLong           400  more tokens than it takes       no     larger windows  no
    ├── ModelMissing             502  it does not know the model      no     yes             no
    ├── RateLimited              429  too many calls for its taste    yes    yes             no**
    ├── Overloaded               503  it has no room just now         yes    yes             yes
    ├── TimedOut                 504  it did not answer in time       yes    yes             yes
    ├── ConnectionFailed         502  it cannot be reached            yes    yes             yes
    ├── ContentFiltered          400  its filter refused              no     if routed so    no
    ├── MalformedAnswer          502  its answer cannot be read       yes    yes             yes
    └── ServerError              502  it failed                       yes    yes             yes

*  But at once with the provider's next key, where there is one and this one itself is refused.
** The deployment is passed over until the moment that the vendor named.
"""

import asyncio
from typing import ClassVar

from core.errors import AppError

# What a call is ended with when its caller wants no more.
STOPPED = (GeneratorExit, asyncio.CancelledError)

TELLING = 10  # characters of a key: with fewer, all keys of a vendor begin alike


class ModelNotFound(AppError):
    code = "model_not_found"
    http_status = 404


class ModelUnpriced(AppError):
    code = "model_unpriced"
    http_status = 403


class UnsupportedParameter(AppError):
    """A parameter is known, and would be dropped by whoever could answer."""

    code = "unsupported_parameter"
    http_status = 400


class NoDeployment(AppError):
    code = "model_unavailable"
    http_status = 503


class ProviderError(AppError):
    """A vendor's call failed; the class says whether it, or another deployment, may be tried."""

    is_retryable: ClassVar[bool] = False
    can_fall_back: ClassVar[bool] = True  # to whoever is next
    is_outage: ClassVar[bool] = False  # counted by the breaker
    code = "provider_error"
    http_status = 502

    # Whether the vendor may have worked (and will charge) for the call although it failed.
    may_have_been_billed: bool = False

    # Whether the key, or the account behind it, is refused whatever is asked for.
    refuses_key: bool = False

    def hide(self, secret: str) -> None:
        """Take the secret out of what is told, where a vendor has quoted it or its beginning."""
        if secret:
            self.message = _without(secret, self.message)
            self.args = (self.message,)
            self.param = self.param and _without(secret, self.param)


class AuthenticationFailed(ProviderError):
    code = "provider_authentication_failed"
    refuses_key = True


class ProviderPermissionDenied(ProviderError):
    code = "provider_permission_denied"


class RequestRefused(ProviderError):
    code = "invalid_request"
    http_status = 400
    can_fall_back = False


class ContextTooLong(ProviderError):
    code = "context_length_exceeded"
    http_status = 400
    can_fall_back = False


class ModelMissing(ProviderError):
    code = "provider_model_not_found"


class RateLimited(ProviderError):
    code = "provider_rate_limited"
    http_status = 429
    is_retryable = True


class Overloaded(ProviderError):
    code = "provider_overloaded"
    http_status = 503
    is_retryable = True
    is_outage = True


class TimedOut(ProviderError):
    code = "provider_timeout"
    http_status = 504
    is_retryable = True
    is_outage = True
    may_have_been_billed = True


class ConnectionFailed(ProviderError):
    code = "provider_connection_failed"
    is_retryable = True
    is_outage = True


class ContentFiltered(ProviderError):
    code = "content_filtered"
    http_status = 400
    can_fall_back = False


class MalformedAnswer(ProviderError):
    code = "provider_malformed_answer"
    is_retryable = True
    is_outage = True
    may_have_been_billed = True


class ServerError(ProviderError):
    code = "provider_server_error"
    is_retryable = True
    is_outage = True


def _without(secret: str, text: str) -> str:
    """Return the text without the secret, and without as much of its beginning as would tell it."""
    text = text.replace(secret, "…")
    beginning = secret[:TELLING]
    while len(secret) > TELLING and (start := text.find(beginning)) >= 0:
        shown = TELLING
        while text.startswith(secret[: shown + 1], start) and shown < len(secret):
            shown += 1
        text = f"{text[:start]}…{text[start + shown :]}"
    return text
