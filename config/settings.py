"""Settings, read once from the environment; runnable with nothing set. See docs/settings.md."""

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.http.request import validate_host

from config import logs, places
from config.env import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)

PROFILE = env.choice("HEADWAY_PROFILE", ["development", "test", "production"], "development")
PRODUCTION = PROFILE == "production"
ROLE = os.environ.get("HEADWAY_ROLE", "")  # web, worker, keeper; set by the supervisor or the deployment
DEBUG = env.flag("HEADWAY_DEBUG")
if DEBUG and PRODUCTION:
    env.problem("HEADWAY_DEBUG", "may not be on in production")

# --- Where things are ---------------------------------------------------------------------------------------

DATA_DIR = Path(env.text("HEADWAY_DATA", str(BASE_DIR / ".headway"))).absolute()
PLACE = places.layout(DATA_DIR)
STATIC_ROOT = BASE_DIR / "staticfiles"
MEDIA_ROOT = env.folder("HEADWAY_UPLOAD_DIR", DATA_DIR / "files", web_root=STATIC_ROOT)
_temporary = os.environ.get("TMPDIR", "")
try:
    # Python would silently take another place than the one that was named.
    if _temporary and Path(_temporary).resolve() != Path(tempfile.gettempdir()).resolve():
        raise FileNotFoundError
    tempfile.gettempdir()
except FileNotFoundError:
    env.problem("TMPDIR", f"cannot be used: the temporary folder is not writable: {_temporary!r}")


def _kept_secret() -> str:
    """Return the key of this data folder, made with its first use and readable by us alone."""
    path = DATA_DIR / "secret_key"
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        new = DATA_DIR / f"secret_key.{os.getpid()}"
        if not path.exists():
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(50))
            try:
                os.link(new, path)  # unlike a rename, this cannot replace the key another process just made
            except FileExistsError:
                pass
            finally:
                new.unlink()
        return path.read_text()
    except OSError as error:
        env.problem("HEADWAY_DATA", f"must be a writable folder: {DATA_DIR}: {error.strerror}")
        return ""


# --- Secrets and addresses ----------------------------------------------------------------------------------

SECRET_KEY = env.secret("HEADWAY_SECRET_KEY", 50)
SECRET_KEY_FALLBACKS = [key for key in [env.secret("HEADWAY_SECRET_KEY_FALLBACK", 50)] if key]
if SECRET_KEY and SECRET_KEY in SECRET_KEY_FALLBACKS:
    env.problem("HEADWAY_SECRET_KEY_FALLBACK", "must differ from HEADWAY_SECRET_KEY")
if not SECRET_KEY and PRODUCTION and not any("HEADWAY_SECRET_KEY " in line for line in env.problems):
    env.problem("HEADWAY_SECRET_KEY", "must be set in production")
SECRET_KEY = SECRET_KEY or ("" if PRODUCTION else _kept_secret())

_site = env.text("HEADWAY_SITE_URL")
if PRODUCTION and not _site.startswith("https://"):
    env.problem("HEADWAY_SITE_URL", "must start with https:// in production")
SITE_URL = env.origin("HEADWAY_SITE_URL", "http://127.0.0.1:8000")
SITE_HOST = SITE_URL.partition("://")[2]
ALLOWED_HOSTS = env.hosts("HEADWAY_ALLOWED_HOSTS")
if PRODUCTION:
    if not ALLOWED_HOSTS:
        env.problem("HEADWAY_ALLOWED_HOSTS", "must name the site in production")
    if "*" in ALLOWED_HOSTS:
        env.problem("HEADWAY_ALLOWED_HOSTS", "may not be * in production")
    if ALLOWED_HOSTS and _site and not validate_host(urlsplit(SITE_URL).hostname or "", ALLOWED_HOSTS):
        env.problem("HEADWAY_SITE_URL", "has a wrong host: the host must be in ALLOWED_HOSTS")
else:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]
# Origins that may open a WebSocket. Empty: exactly the scheme, host and port the page itself was asked for.
WS_ORIGINS = env.origins("HEADWAY_WS_ORIGINS") or ([SITE_URL] if PRODUCTION else [])
CSRF_TRUSTED_ORIGINS = env.origins("HEADWAY_CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = env.networks("HEADWAY_TRUSTED_PROXIES")
METRICS_NETWORKS = env.networks("HEADWAY_METRICS_NETWORKS")  # that read /metrics without signing in

# --- Database and Redis -------------------------------------------------------------------------------------

_database_url = env.database_url("DATABASE_URL")
REDIS_URL = env.redis_url("REDIS_URL", production=PRODUCTION) or PLACE.redis_url
EMBEDDED_POSTGRES = "DATABASE_URL" not in os.environ
EMBEDDED_REDIS = "REDIS_URL" not in os.environ
if PRODUCTION:
    for _name in ("DATABASE_URL", "REDIS_URL"):
        if not os.environ.get(_name):
            env.problem(_name, "must be set in production")
# More than 5: redis-py's own default of 5 s ended every quiet subscription after 5 s.
REDIS_SOCKET_TIMEOUT = env.whole("HEADWAY_REDIS_SOCKET_TIMEOUT", 15, 0, 300)
if REDIS_SOCKET_TIMEOUT <= 5:
    env.problem("HEADWAY_REDIS_SOCKET_TIMEOUT", "must be more than 5 seconds")


def _database() -> dict[str, Any]:
    """Return the connection each role needs: a request gives up soon, a worker keeps its one connection."""
    database: dict[str, Any] = dict(dj_database_url.parse(_database_url or PLACE.database_url))
    options = database.setdefault("OPTIONS", {})
    options["prepare_threshold"] = 1  # of `config.statements`; Django has none by default
    session = {"TimeZone": "UTC"}  # said at once, Django need not say it in a statement of its own
    # The few prepared statements. Left to itself, PostgreSQL may plan the longest of them anew at every use.
    session["plan_cache_mode"] = "force_generic_plan"
    if ROLE == "web":
        # A lost connection is tried again for a second, then when somebody needs one. In the pool's own 300 s
        # each pause is twice the last: a database back after a minute would be missed for half of another.
        options["pool"] = {"min_size": 1, "max_size": 8, "timeout": 2, "reconnect_timeout": 1}
        options["connect_timeout"] = 2
        # A server that is cut off answers nothing, not even that a statement took too long.
        options |= {"keepalives_idle": 3, "keepalives_interval": 1, "keepalives_count": 3}
        options["tcp_user_timeout"] = 6000
        session |= {"lock_timeout": "3000", "statement_timeout": "5000"}
        database["CONN_HEALTH_CHECKS"] = True
    else:
        options["connect_timeout"] = 5
        if ROLE in ("worker", "keeper"):
            session["idle_in_transaction_session_timeout"] = "15000"
        if ROLE == "keeper":  # one thread does all duties: what somebody holds must not hold them all up
            session["lock_timeout"] = "2000"
    given = [options["options"]] if "options" in options else []  # of the address; ours come after it
    options["options"] = " ".join([*given, *(f"-c {name}={value}" for name, value in session.items())])
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": REDIS_SOCKET_TIMEOUT}]},
    }
}
QUEUES = ("default", "analytics", "light")
# JSON, not pickle: what Redis holds must not be code (SEC54). Workers read times and lives from the database.
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "SERIALIZER": "rq.serializers.JSONSerializer", "DEFAULT_TIMEOUT": 24 * 3600}
    for name in QUEUES
}
RQ = {"COMMIT_MODE": "auto"}

# --- What leaves the site -----------------------------------------------------------------------------------

_email = env.email_url("HEADWAY_EMAIL_URL", production=PRODUCTION)
EMAIL_HOST: str = (_email or {}).get("EMAIL_HOST", "")
EMAIL_PORT: int = (_email or {}).get("EMAIL_PORT", 25)
EMAIL_HOST_USER: str = (_email or {}).get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = (_email or {}).get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS: bool = (_email or {}).get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL: bool = (_email or {}).get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
# Without a server mail is written to the terminal, in production nowhere.
_way = "smtp" if _email else "dummy" if PRODUCTION else "console"
EMAIL_BACKEND = f"django.core.mail.backends.{_way}.EmailBackend"
EMAIL_READY = bool(_email) or not PRODUCTION
EMAIL_FROM = DEFAULT_FROM_EMAIL = env.address("HEADWAY_EMAIL_FROM", "headway@localhost")
if PRODUCTION and _email and not env.text("HEADWAY_EMAIL_FROM"):
    env.problem("HEADWAY_EMAIL_FROM", "must be set where HEADWAY_EMAIL_URL is")
LINK_HOSTS = env.hosts("HEADWAY_LINK_HOSTS")  # that links in notifications may lead to, besides our own
if "*" in LINK_HOSTS:
    env.problem("HEADWAY_LINK_HOSTS", "may not be *")
FETCH_ALLOW = env.hosts("HEADWAY_FETCH_ALLOW")  # that we may call although their addresses are not public
if FETCH_ALLOW and PRODUCTION:
    env.problem("HEADWAY_FETCH_ALLOW", "is for tests and development, not in production")

# The SEC's servers, and who we say we are there: a name and an address that it can write to.
SEC_WWW_URL = env.origin("HEADWAY_SEC_WWW_URL", "https://www.sec.gov")
SEC_DATA_URL = env.origin("HEADWAY_SEC_DATA_URL", "https://data.sec.gov")
SEC_CONTACT = env.text("HEADWAY_SEC_CONTACT")
if SEC_CONTACT and not (SEC_CONTACT.isascii() and SEC_CONTACT.isprintable() and "@" in SEC_CONTACT):
    env.problem("HEADWAY_SEC_CONTACT", "must be a name and an e-mail address: Example Org admin@example.org")
ARTICLES_CONTACT = env.text("HEADWAY_ARTICLES_CONTACT")  # told to the hosts of pages, in User-Agent
if not (ARTICLES_CONTACT.isascii() and ARTICLES_CONTACT.isprintable()):
    env.problem("HEADWAY_ARTICLES_CONTACT", "must be ASCII: an address of a page or of an e-mail")
ARTICLES_PER_SECOND = env.whole("HEADWAY_ARTICLES_PER_SECOND", 2, 1, 100)  # pages of one host, all workers
SEC_PER_SECOND = env.whole("HEADWAY_SEC_PER_SECOND", 8, 1, 10)  # the SEC's limit is 10, of all processes
SEC_BLOCK_SECONDS = env.whole("HEADWAY_SEC_BLOCK_SECONDS", 600, 1, 86_400)  # quiet after it has blocked us

# The lifelog service, and when a day can be complete.
LIMITLESS_URL = env.origin("HEADWAY_LIMITLESS_URL", "https://api.limitless.ai")
LIMITLESS_PER_MINUTE = env.whole(
    "HEADWAY_LIMITLESS_PER_MINUTE", 180, 1, 60_000
)  # of one key, in all processes
LIFELOGS_SETTLE_MINUTES = env.whole("HEADWAY_LIFELOGS_SETTLE_MINUTES", 180, 0, 10_080)  # after a day's end
LIFELOGS_RETRY_DAYS = env.whole("HEADWAY_LIFELOGS_RETRY_DAYS", 60, 1, 3650)
# A service that speaks OpenAI's API, its key, and its models: of vectors of text, and for judging articles.
OPENAI_URL = env.text("HEADWAY_OPENAI_URL")
OPENAI_KEY = env.secret("HEADWAY_OPENAI_KEY", 1)
OPENAI_EMBEDDINGS = env.text("HEADWAY_OPENAI_EMBEDDINGS")
OPENAI_ANALYSIS = env.text("HEADWAY_OPENAI_ANALYSIS")
OPENAI_CALLS_PER_DAY = env.whole("HEADWAY_OPENAI_CALLS_PER_DAY", 1000, 1, 10_000_000)  # of all workers
if OPENAI_ANALYSIS and not OPENAI_URL:
    env.problem("HEADWAY_OPENAI_ANALYSIS", "needs HEADWAY_OPENAI_URL")
if OPENAI_URL and not OPENAI_URL.startswith(("https://", "http://")):
    env.problem("HEADWAY_OPENAI_URL", "must start with https:// or http://")

# --- Limits -------------------------------------------------------------------------------------------------

JOB_LEASE_SECONDS = env.whole("HEADWAY_JOB_LEASE_SECONDS", 10, 5, 300)
MAX_QUEUED_PER_USER = env.whole("HEADWAY_MAX_QUEUED_PER_USER", 100, 1, 100_000)  # of one source
MAX_QUEUED = env.whole("HEADWAY_MAX_QUEUED", 10_000, 1, 1_000_000)
MAX_ITEMS = env.whole("HEADWAY_MAX_ITEMS", 100_000, 1, 10_000_000)  # of one job
MAX_UPLOAD_MB = env.whole("HEADWAY_MAX_UPLOAD_MB", 1024, 1, 1024)  # of any file; a source may allow less
MAX_DOCUMENT_MB = env.whole("HEADWAY_MAX_DOCUMENT_MB", 100, 1, 1024)
MAX_DOCUMENT_PAGES = env.whole("HEADWAY_MAX_DOCUMENT_PAGES", 2000, 1, 100_000)  # of a PDF
MAX_BODY_KB = env.whole("HEADWAY_MAX_BODY_KB", 1024, 1, 10_240)  # of any other request
if MAX_BODY_KB > MAX_UPLOAD_MB * 1024:
    env.problem("HEADWAY_MAX_BODY_KB", "must be 1-10240 and not more than HEADWAY_MAX_UPLOAD_MB")
BODY_SECONDS = 30  # a small body must have arrived by then
MAX_FILES_PER_USER = env.whole("HEADWAY_MAX_FILES_PER_USER", 10_000, 1, 1_000_000)
MAX_FILES_GB_PER_USER = env.whole("HEADWAY_MAX_FILES_GB_PER_USER", 20, 1, 10_000)
MAX_WAIT_SECONDS = env.whole("HEADWAY_MAX_WAIT_SECONDS", 60, 1, 300)  # of a request that waits for a job
REVIEW_BY_OTHERS = env.flag("HEADWAY_REVIEW_BY_OTHERS")  # nobody approves or rejects their own import
RATE_READS_PER_MINUTE = env.whole("HEADWAY_RATE_READS_PER_MINUTE", 3000, 1, 1_000_000)  # of a user or token
RATE_WRITES_PER_MINUTE = env.whole("HEADWAY_RATE_WRITES_PER_MINUTE", 300, 1, 1_000_000)
RATE_UNSIGNED_PER_MINUTE = env.whole("HEADWAY_RATE_UNSIGNED_PER_MINUTE", 120, 1, 1_000_000)  # of an address
SIGN_IN_TRIES_PER_USER = 10  # wrong passwords in SIGN_IN_SECONDS
SIGN_IN_TRIES_PER_ADDRESS = 50
SIGN_IN_SECONDS = 300
SIGN_IN_LINK_SECONDS = PASSWORD_RESET_TIMEOUT = 24 * 3600
WS_MAX_SOCKETS_PER_USER = env.whole("HEADWAY_WS_MAX_SOCKETS_PER_USER", 20, 1, 1000)
WS_CONNECTS_PER_SESSION = env.whole("HEADWAY_WS_CONNECTS_PER_SESSION", 30, 1, 10_000)  # in 10 seconds
WS_HEARTBEAT_SECONDS = env.whole("HEADWAY_WS_HEARTBEAT_SECONDS", 20, 5, 45)
WS_MAX_BYTES = 64 * 1024  # of one message
if env.flag("HEADWAY_WS_ALLOW_COMPRESSION"):
    env.problem(
        "HEADWAY_WS_ALLOW_COMPRESSION", "is not supported: it costs memory a socket and leaks by length"
    )
SESSION_SWEEP_SECONDS = env.whole("HEADWAY_SESSION_SWEEP_SECONDS", 15, 5, 60)

# What is kept, in days.
RETENTION_JOBS_DAYS = env.whole("HEADWAY_RETENTION_JOBS_DAYS", 180, 1, 36_500)
RETENTION_EVENTS_DAYS = env.whole("HEADWAY_RETENTION_EVENTS_DAYS", 30, 1, 36_500)
RETENTION_UPLOADS_DAYS = env.whole("HEADWAY_RETENTION_UPLOADS_DAYS", 30, 1, 36_500)
RETENTION_INBOX_READ_DAYS = env.whole("HEADWAY_RETENTION_INBOX_READ_DAYS", 90, 1, 36_500)
RETENTION_INBOX_UNREAD_DAYS = env.whole("HEADWAY_RETENTION_INBOX_UNREAD_DAYS", 365, 1, 36_500)
RETENTION_DELIVERIES_DAYS = env.whole("HEADWAY_RETENTION_DELIVERIES_DAYS", 30, 1, 36_500)
RETENTION_AUDIT_DAYS = env.whole("HEADWAY_RETENTION_AUDIT_DAYS", 730, 1, 36_500)
RETENTION_IDEMPOTENCY_HOURS = 24
RETENTION_UNUSED_UPLOADS_HOURS = 24

DEBUG_FAILPOINTS = env.flag("HEADWAY_DEBUG_FAILPOINTS")
FAILPOINTS = env.text("HEADWAY_FAILPOINTS")
if PRODUCTION and (DEBUG_FAILPOINTS or FAILPOINTS):
    env.problem("HEADWAY_DEBUG_FAILPOINTS", "is for tests, not in production")

# --- Django -------------------------------------------------------------------------------------------------

EXTRA_APPS = env.modules("HEADWAY_EXTRA_APPS")
# Workers and keepers show no pages: what only pages and API need would be a sixth of their start.
_pages = ROLE not in ("worker", "keeper")
INSTALLED_APPS = [
    # Gives runserver its ASGI; first, as it asks. Nothing else waits the second that its import takes.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    "django.contrib.admin" if _pages else "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    *(["csp", "django_htmx", "ninja"] if _pages else []),
    "config",
    "realtime",
    "notifications",
    "ingestion",
    "account",
    "ingestion.sources.imports",
    "ingestion.sources.imports.analytics",
    "ingestion.sources.companies",
    "ingestion.sources.lifelogs",
    "ingestion.sources.documents",
    "ingestion.sources.articles",
    "ingestion.sources.probe",
    *EXTRA_APPS,
]
# Each is able to run async: one that is not would hold a thread for every waiting long poll.
MIDDLEWARE = [
    "config.middleware.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.headers.no_store",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "account.middleware.in_zone",
]
ROOT_URLCONF = "config.urls" if _pages else "config.page_urls"
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
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
if PROFILE == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a test makes many users
AUTHENTICATION_BACKENDS = ["account.backends.AccountBackend"]
LOGIN_URL = "signin"
LOGIN_REDIRECT_URL = "/"
LANGUAGE_CODE = env.choice("HEADWAY_LANGUAGE_CODE", ["en-gb", "en-us", "en"], "en-gb")
TIME_ZONE = env.zone("HEADWAY_TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_URL = ""  # no address: files are served by views that ask who is asking
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "config.staticfiles.HashedStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_KB * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# --- Security -----------------------------------------------------------------------------------------------

SESSION_ENGINE = "realtime.sessions"
SESSION_COOKIE_AGE = env.whole("HEADWAY_SESSION_COOKIE_AGE", 1_209_600, 60, 31_536_000)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "config.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if PRODUCTION:
    SESSION_COOKIE_NAME = "__Host-sessionid"
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked from inside, without TLS
    SECURE_HSTS_SECONDS = 63_072_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, f"wss://{SITE_HOST}"] if PRODUCTION else [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "report-uri": "/csp-report/",
    }
}

# --- Logs ---------------------------------------------------------------------------------------------------

LOG_LEVEL = env.choice("HEADWAY_LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], "INFO")
LOG_FORMAT = env.choice("HEADWAY_LOG_FORMAT", ["console", "json"], "json" if PRODUCTION else "console")
LOGGING_CONFIG = None  # structlog renders everything, configured in one place
logs.configure(LOG_LEVEL, LOG_FORMAT)

UNKNOWN_SETTINGS = env.unknown()
env.refuse()
