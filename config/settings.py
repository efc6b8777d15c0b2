"""Every setting of Parley, read once from the environment; README.md lists the variables."""

import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environs import validate

from config import environment
from config.environment import BASE_DIR, env, read_dotenv
from core import local_secrets, logging

read_dotenv()

# --- Where we are -----------------------------------------------------------------------------
PARLEY_ENV = env.str("PARLEY_ENV", "local", validate=validate.OneOf(["local", "production"]))
IS_PRODUCTION = PARLEY_ENV == "production"
DEBUG = env.bool("PARLEY_DEBUG", False)
DATA_DIR = Path(env.str("PARLEY_DATA_DIR", str(BASE_DIR / ".data")))
VERSION = "0.1.0"


def _required_in_production(name: str, local: str) -> str:
    """Return the variable; local mode makes its own, production must be told."""
    value = env.str(name, "") or ("" if IS_PRODUCTION else local)
    if not value:
        raise ImproperlyConfigured(f"Environment variable {name} is required in production.")
    return value


_local = None if IS_PRODUCTION else local_secrets.load(DATA_DIR)
SECRET_KEY = _required_in_production("PARLEY_SECRET_KEY", _local.secret_key if _local else "")
# Fernet keys, comma separated, newest first: provider credentials are encrypted with the first.
SECRET_KEYS = _required_in_production(
    "PARLEY_SECRET_KEYS", _local.encryption_key if _local else ""
).split(",")
environment.check_fernet_keys(SECRET_KEYS)
ALLOWED_HOSTS = _required_in_production("PARLEY_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS: list[str] = env.list("PARLEY_TRUSTED_ORIGINS", [])

# --- What is installed ------------------------------------------------------------------------
INSTALLED_APPS = [
    # Before staticfiles: it gives `runserver` WebSockets. Elsewhere Twisted would take 20 MB.
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "django_tasks",
    "django_tasks_db",
    "core",
    "accounts",
    "billing",
    "llm",
    "prompts",
    "chat",
    "gateway",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.middleware.Outages",
    "core.middleware.ZeroCharacters",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- PostgreSQL and Redis ---------------------------------------------------------------------
DATABASES: dict[str, Any] = {
    # Every process holds a pool: under ASGI a request has a fresh thread, so Django's own
    # persistent connections would keep nothing and PostgreSQL would run out of them. Checked when
    # taken, or after an outage each dead connection would cost somebody an error.
    "default": env.dj_db_url("DATABASE_URL", conn_max_age=0, conn_health_checks=True)
}
environment.check_postgresql(DATABASES["default"])
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "min_size": 1,
    "max_size": env.int("PARLEY_DB_POOL", 10, validate=environment.at_least_one),
    "timeout": 5,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.str("REDIS_URL", validate=environment.redis_url)
REDIS_PREFIX = env.str("PARLEY_REDIS_PREFIX", "parley")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": REDIS_PREFIX,
        "OPTIONS": {
            "IGNORE_EXCEPTIONS": True,  # no Redis: no cache, but an answer
            "SOCKET_CONNECT_TIMEOUT": 2,
            "SOCKET_TIMEOUT": 2,
        },
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": f"{REDIS_PREFIX}:channels"},
    }
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# --- People -----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "chat:home"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # what the pages are written in
TIME_ZONE = env.str("PARLEY_TIME_ZONE", "UTC", validate=environment.time_zone)
USE_I18N = True
USE_TZ = True

# --- E-mail -----------------------------------------------------------------------------------
# Without a server, local mode prints e-mails, and production says that they cannot be sent.
EMAIL_HOST = env.str("EMAIL_HOST", "")
EMAIL_BACKEND = (
    f"django.core.mail.backends.{'smtp' if EMAIL_HOST or IS_PRODUCTION else 'console'}.EmailBackend"
)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", False)
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", not EMAIL_USE_SSL)
EMAIL_PORT = env.int("EMAIL_PORT", 465 if EMAIL_USE_SSL else 587)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Parley <parley@localhost>")

# --- Security ---------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = IS_PRODUCTION and env.bool("PARLEY_SSL_REDIRECT", True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_PRODUCTION else None
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_PRODUCTION
SECURE_HSTS_PRELOAD = IS_PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "core.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000  # a prompt may have 100 variables, in many languages
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # bytes, for pages; the API has PARLEY_MAX_BODY_BYTES

# --- Static files and logs --------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Local mode needs no collectstatic: files are found where they are written.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not IS_PRODUCTION
# What programs upload for their batches, and what comes of it. No URL leads here: `gateway.files`
# hands it out, to whom it belongs.
MEDIA_ROOT = DATA_DIR / "files"
STORAGES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700},
    },
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
LOGGING = logging.configure(
    as_json=env.bool("PARLEY_LOG_JSON", IS_PRODUCTION),
    level=env.str("PARLEY_LOG_LEVEL", "INFO", validate=environment.log_level),
)

# --- REST -------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    # JSON unless HTML is asked for: a browser gets pages to look around.
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api.PerCaller"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "core.api.NewestFirst",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "core.api.handle_exception",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Parley",
    "DESCRIPTION": "Models behind one door: OpenAI's and Anthropic's wires below `/v1`, and what "
    "belongs to them (keys, prompts, usage, conversations) below `/api`.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    # Several have a field of this name.
    "ENUM_NAME_OVERRIDES": {
        "ExperimentStateEnum": "prompts.models.ExperimentState",
        "MetricEnum": "prompts.models.Metric",
        "MoveStateEnum": "prompts.models.MoveState",
        "RunStateEnum": "prompts.models.RunState",
    },
    # Forms are taken too, from the pages for looking around; programs send JSON.
    "PARSER_WHITELIST": ["rest_framework.parsers.JSONParser"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "gateway.openapi_document.complete",
    ],
}

# --- Parley -----------------------------------------------------------------------------------
# A call that ends without a word from its process is swept this many seconds after its last sign.
LEASE_SECONDS = env.float("PARLEY_LEASE_SECONDS", 60.0, validate=environment.above_zero)
# What Redis does not answer within this is gone on without: without a cache, or counted locally.
REDIS_PATIENCE_SECONDS = env.float(
    "PARLEY_REDIS_PATIENCE_SECONDS", 0.5, validate=environment.above_zero
)
# A model without a price: "record" it as unpriced, or "refuse" the call.
UNPRICED_MODELS = env.str(
    "PARLEY_UNPRICED_MODELS", "record", validate=validate.OneOf(["record", "refuse"])
)
# What a price has no rate for (a service tier, audio): at the "ordinary" rate, or "unpriced".
UNKNOWN_RATES = env.str(
    "PARLEY_UNKNOWN_RATES", "ordinary", validate=validate.OneOf(["ordinary", "unpriced"])
)
# A proposed price is accepted by itself where nothing changes by more percent than this. 0: never.
PRICE_CHANGE_ACCEPTED_PERCENT = env.float(
    "PARLEY_PRICE_CHANGE_ACCEPTED_PERCENT", 0.0, validate=environment.not_negative
)
MAX_BODY_BYTES = env.int("PARLEY_MAX_BODY_BYTES", 4_000_000, validate=environment.at_least_one)
# An answer whose client has left is taken to its end, where the key says so, for at most so long.
DRAIN_SECONDS = env.float("PARLEY_DRAIN_SECONDS", 300.0, validate=environment.above_zero)
# A stream that is silent for so long sends a comment, so that no proxy takes it for dead.
KEEP_ALIVE_SECONDS = env.float("PARLEY_KEEP_ALIVE_SECONDS", 15.0, validate=environment.above_zero)
MAX_FILE_BYTES = env.int("PARLEY_MAX_FILE_BYTES", 100_000_000, validate=environment.at_least_one)
# All files of an organization together.
MAX_FILES_BYTES = env.int(
    "PARLEY_MAX_FILES_BYTES", 10_000_000_000, validate=environment.at_least_one
)
# Files, and the lines of batches that came from them, are kept so long.
FILE_DAYS = env.int("PARLEY_FILE_DAYS", 30, validate=environment.at_least_one)
CACHE_SECONDS = env.int("PARLEY_CACHE_SECONDS", 3600, validate=environment.not_negative)
# What guardrails have decided is shown so long.
GUARDRAIL_DAYS = env.int("PARLEY_GUARDRAIL_DAYS", 90, validate=environment.at_least_one)
# The answer to a request with an `Idempotency-Key` is kept so long.
MAX_IDEMPOTENCY_BYTES = env.int(
    "PARLEY_MAX_IDEMPOTENCY_BYTES", 100_000_000, validate=environment.at_least_one
)
IDEMPOTENCY_HOURS = env.float("PARLEY_IDEMPOTENCY_HOURS", 24.0, validate=environment.above_zero)
# What `/v1/responses` keeps of an organization, and for how long after its last use. 0: nothing.
MAX_RESPONSES_BYTES = env.int(
    "PARLEY_MAX_RESPONSES_BYTES", 100_000_000, validate=environment.at_least_one
)
RESPONSE_HOURS = env.float("PARLEY_RESPONSE_HOURS", 24.0, validate=environment.not_negative)

# Providers may be called at these addresses and networks, although they are link-local or where a
# cloud keeps its machines' secrets.
ALLOWED_ADDRESSES = environment.networks(
    "PARLEY_ALLOWED_ADDRESSES", env.list("PARLEY_ALLOWED_ADDRESSES", [])
)

# Beside …_KEY, …_TOKEN and …_SECRET: variables that staff may name as a provider's key.
KEY_VARIABLES: frozenset[str] = frozenset(env.list("PARLEY_KEY_VARIABLES", []))

# --- How often ---------------------------------------------------------------------------------
# Whose X-Forwarded-For is believed: addresses and networks, comma separated.
TRUSTED_PROXIES = environment.networks(
    "PARLEY_TRUSTED_PROXIES", env.list("PARLEY_TRUSTED_PROXIES", [])
)
# Beside the limits that staff set in the admin. 0: no such limit.
WRONG_KEYS_PER_MINUTE = env.int(
    "PARLEY_WRONG_KEYS_PER_MINUTE", 300, validate=environment.not_negative
)
WRONG_PASSWORDS = env.int("PARLEY_WRONG_PASSWORDS", 20, validate=environment.not_negative)
REST_PER_MINUTE = env.int("PARLEY_REST_PER_MINUTE", 600, validate=environment.not_negative)
REST_ANONYMOUS_PER_MINUTE = env.int(
    "PARLEY_REST_ANONYMOUS_PER_MINUTE", 60, validate=environment.not_negative
)
MESSAGES_PER_MINUTE = env.int("PARLEY_MESSAGES_PER_MINUTE", 60, validate=environment.not_negative)
