"""Why a model did not answer, and what to do about it.

AppError
├── ModelNotFound                404  no route of that name
├── ModelUnpriced                403  no price, and the settings refuse that
└── ProviderError                     a vendor's call failed        retry  fall back
    ├── AuthenticationFailed     502  its key is refused              no     yes
    ├── ProviderPermissionDenied 502  its key may not do this         no     yes
    ├── RequestRefused           400  it calls the request wrong      no     no
    ├── ContextTooLong           400  more tokens than it takes       no     yes
    ├── ModelMissing             502  it does not know the model      no     yes
    ├── RateLimited              429  too many calls for its taste    yes    yes
    ├── Overloaded               503  it has no room just now         yes    yes
    ├── TimedOut                 504  it did not answer in time       yes    yes
    ├── ConnectionFailed         502  it cannot be reached            yes    yes
    ├── ContentFiltered          400  its filter refused              no     no
    ├── MalformedAnswer          502  its answer cannot be read       yes    yes
    └── ServerError              502  it failed                       yes    yes
"""

from typing import ClassVar

from core.errors import AppError


class ModelNotFound(AppError):
    code = "model_not_found"
    http_status = 404


class ModelUnpriced(AppError):
    code = "model_unpriced"
    http_status = 403


class ProviderError(AppError):
    """A vendor's call failed; the class says whether it, or another deployment, may be tried."""

    is_retryable: ClassVar[bool] = False
    can_fall_back: ClassVar[bool] = True
    code = "provider_error"
    http_status = 502

    # Whether the vendor may have worked (and will charge) for the call although it failed.
    may_have_been_billed: bool = False

    def hide(self, secret: str) -> None:
        """Take the secret out of the message, where a vendor has quoted it."""
        if secret:
            self.message = self.message.replace(secret, "…")
            self.args = (self.message,)


class AuthenticationFailed(ProviderError):
    code = "provider_authentication_failed"


class ProviderPermissionDenied(ProviderError):
    code = "provider_permission_denied"


class RequestRefused(ProviderError):
    code = "invalid_request"
    http_status = 400
    can_fall_back = False


class ContextTooLong(ProviderError):
    code = "context_length_exceeded"
    http_status = 400


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


class TimedOut(ProviderError):
    code = "provider_timeout"
    http_status = 504
    is_retryable = True
    may_have_been_billed = True


class ConnectionFailed(ProviderError):
    code = "provider_connection_failed"
    is_retryable = True


class ContentFiltered(ProviderError):
    code = "content_filtered"
    http_status = 400
    can_fall_back = False


class MalformedAnswer(ProviderError):
    code = "provider_malformed_answer"
    is_retryable = True
    may_have_been_billed = True


class ServerError(ProviderError):
    code = "provider_server_error"
    is_retryable = True
