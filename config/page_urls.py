"""Addresses of pages and probes: all that a worker must know of the site, whose results lead to pages."""

from django.urls import include, path

from account import recovery
from config import health, signin
from config.metrics import metrics

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("csp-report/", health.csp_report, name="csp_report"),
    path("signin/", signin.signin, name="signin"),
    path("signin/link/<str:token>/", signin.signin_link, name="signin_link"),
    path("signin/mail/", recovery.ask, name="recovery"),
    path("signin/password/<str:uidb64>/<str:token>/", recovery.NewPassword.as_view(), name="new_password"),
    path("signout/", signin.signout, name="signout"),
    path("imports/", include("ingestion.sources.imports.urls")),
    path("companies/", include("ingestion.sources.companies.urls")),
    path("days/", include("ingestion.sources.lifelogs.urls")),
    path("workspaces/", include("ingestion.sources.documents.urls")),
    path("topics/", include("ingestion.sources.articles.urls")),
    path("charts/", include("ingestion.sources.imports.analytics.urls")),
    path("account/", include("account.urls")),
    path("inbox/", include("notifications.urls")),
    path("", include("ingestion.urls")),
]
