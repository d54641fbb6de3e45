"""Every setting, read from the environment once. Defaults start a laptop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from studio.env import database, env_bool, env_float, env_int, env_list, env_secret, env_str

BASE_DIR = Path(__file__).resolve().parent.parent

VAR = Path(env_str("STUDIO_VAR", str(BASE_DIR / "var"), "folder for what Studio keeps beside the database"))
DATABASE_URL = env_str("DATABASE_URL", f"sqlite:///{VAR / 'studio.db'}", "`postgresql://…` or `sqlite:///…`")
REDIS_URL = env_str("REDIS_URL", "", "`redis://…`; empty: one process, no Redis and no Celery worker needed")
EMBEDDED = DATABASE_URL.startswith("sqlite") and not REDIS_URL
PORT = env_int("PORT", 8080, "port on 127.0.0.1 that `make run` and `make up` serve")
STUDIO_URL = env_str(
    "STUDIO_URL", f"http://127.0.0.1:{PORT}", "public address: webhooks, links and widgets are built from it"
).rstrip("/")

# Secrets. The embedded form makes its own in var/secrets; elsewhere the operator brings them.
_kept_in = VAR / "secrets" if EMBEDDED else None
SECRET_KEY = env_secret("SECRET_KEY", _kept_in, "signs sessions and visitors' tokens").hex()
VAULT_KEY = env_secret("VAULT_KEY", _kept_in, "encrypts channel credentials at rest")
KEY_PEPPER = env_secret("KEY_PEPPER", _kept_in, "keyed hash of API keys, agent tokens and one-time codes")

DEBUG = env_bool("DEBUG", False, "Django's debug pages; never in public")
_host = urlsplit(STUDIO_URL).hostname or "127.0.0.1"
ALLOWED_HOSTS = [
    _host,
    *env_list(
        "ALLOWED_HOSTS", "127.0.0.1,localhost", "host names Studio answers to beside that of STUDIO_URL"
    ),
]
CSRF_TRUSTED_ORIGINS = [STUDIO_URL]
TRUSTED_PROXIES = env_list("TRUSTED_PROXIES", "", "addresses whose X-Forwarded-* headers are believed")

TELEGRAM_API_URL = env_str(
    "TELEGRAM_API_URL", "https://api.telegram.org", "Bot API server: Telegram's, your own, or a test's"
).rstrip("/")

# Front door
WEBHOOK_MAX_BODY = env_int("WEBHOOK_MAX_BODY", 1_048_576, "bytes of a webhook body; larger is answered 413")
WEBHOOK_READ_TIMEOUT = env_float("WEBHOOK_READ_TIMEOUT", 10, "seconds a webhook body may take to arrive")
REFUSALS_PER_MINUTE = env_int(
    "REFUSALS_PER_MINUTE", 30, "refused webhooks, sign-ins or pairings from one address before it must wait"
)
COMMIT_QUEUE = env_int(
    "COMMIT_QUEUE", 5_000, "writes waiting for the database before webhooks are answered 503"
)

# Tunnel and outbox
TUNNEL_HEARTBEAT = env_float(
    "TUNNEL_HEARTBEAT", 20, "seconds of silence before a ping; two missed end the connection"
)
TUNNEL_LEASE = env_float("TUNNEL_LEASE", 30, "seconds an agent may hold a message without a word")
TUNNEL_ACK = env_float("TUNNEL_ACK", 10, "seconds after which an agent repeats an unanswered reply")
TUNNEL_GRACE = env_float("TUNNEL_GRACE", 5, "seconds a vanished agent's messages wait for its return")
TUNNEL_MAX_CREDITS = env_int("TUNNEL_MAX_CREDITS", 64, "messages one agent may hold at once")
TUNNEL_ATTEMPTS = env_int("TUNNEL_ATTEMPTS", 5, "times a message is handed out before it is set aside")
SWEEP_SECONDS = env_float(
    "SWEEP_SECONDS", 1, "how often rows are looked through for what no wake-up announced"
)
SEND_CLAIM = env_float("SEND_CLAIM", 60, "seconds a sender may hold a conversation's outgoing parts")
SEND_LIFETIME = env_float("SEND_LIFETIME", 86_400, "seconds a part is tried before it is given up")

METRICS_TOKEN = env_str("METRICS_TOKEN", "", "opens /metrics to other computers; empty: only to this one")
LOG_LEVEL = env_str("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")
LOG_FORMAT = env_str("LOG_FORMAT", "json", "`json`, or `text` for reading by eye")

AGENT_LINK_ROUTES = {
    # kind of envelope → who takes its answers, inside the transaction that stores them
    "message": "gateway.replies.accept",
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "studio",
    "workspaces",
    "agent_link",
    "gateway",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "studio.urls"
ASGI_APPLICATION = "studio.asgi.application"
DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
LOGIN_URL = "signin"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "signin"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "studio" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# A browser runs only what Studio itself serves: no inline script, no other host.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
_https = STUDIO_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
# Probes and scrapers come from inside, in plain http; a redirect would count as success.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["workspaces.api_keys.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "workspaces.problems.answer",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AIMatrix Studio",
    "DESCRIPTION": "Channels, conversations, messages and agents of one workspace. Bearer API key.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
}

# Celery does what is slow or periodic; where there is no Redis the same tasks run in this process.
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_ALWAYS_EAGER = not REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    "forget-old-payloads": {"task": "gateway.tasks.forget_old_payloads", "schedule": 3_600.0},
    "probe-channels": {"task": "gateway.tasks.probe_channels", "schedule": 900.0},
    "forget-used-codes": {"task": "agent_link.tasks.forget_used_codes", "schedule": 3_600.0},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "studio.logs.JsonLines"},
        "text": {"()": "studio.logs.TextLines"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": sys.stderr,
            "formatter": LOG_FORMAT,
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "uvicorn": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "telegram": {"level": "WARNING"},
    },
}
