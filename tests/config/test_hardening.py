"""What production refuses, what its cookies are, what logs and pages never say."""

import json
import logging
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import lifecycle
from ingestion.testing import resume_inline, run_inline
from tests.config.test_env import PRODUCTION
from tests.engine import ROOT

GOOD = {
    **PRODUCTION,
    "HEADWAY_SECRET_KEY": "".join(chr(code) for code in range(35, 95)),
    "HEADWAY_EMAIL_URL": "smtps://user:word@mail.example.org:465",
    "HEADWAY_EMAIL_FROM": "headway@example.org",
}


def in_production(folder: Path, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the settings of a deployment."""
    env = {"PATH": os.environ["PATH"], **GOOD, "HEADWAY_DATA": str(folder), **changes}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.seed("SEC40")
def test_a_good_deployment_passes_djangos_checks_and_a_weak_one_does_not(tmp_path: Path) -> None:
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    done = in_production(tmp_path, *check)
    assert done.returncode == 0, done.stdout + done.stderr
    weak = in_production(tmp_path, *check, HEADWAY_SECRET_KEY="ab" * 30)
    assert weak.returncode == 1 and "security.W009" in weak.stderr


# Each of Django's warnings about a deployment, and what brings it: settings; "-x" takes x out of a list.
_SESSIONS = "django.contrib.sessions"
_NO_SESSIONS = {
    "app": {"INSTALLED_APPS": f"-{_SESSIONS}"},
    "middleware": {"MIDDLEWARE": f"-{_SESSIONS}.middleware.SessionMiddleware"},
}
WEAK: dict[str, dict[str, Any]] = {
    "W001": {"MIDDLEWARE": "-django.middleware.security.SecurityMiddleware"},
    "W002": {"MIDDLEWARE": "-django.middleware.clickjacking.XFrameOptionsMiddleware"},
    "W003": {"MIDDLEWARE": "-django.middleware.csrf.CsrfViewMiddleware"},
    "W004": {"SECURE_HSTS_SECONDS": 0},
    "W005": {"SECURE_HSTS_INCLUDE_SUBDOMAINS": False},
    "W006": {"SECURE_CONTENT_TYPE_NOSNIFF": False},
    "W008": {"SECURE_SSL_REDIRECT": False},
    "W009": {"SECRET_KEY": "short"},
    "W010": {"SESSION_COOKIE_SECURE": False} | _NO_SESSIONS["middleware"],
    "W011": {"SESSION_COOKIE_SECURE": False} | _NO_SESSIONS["app"],
    "W012": {"SESSION_COOKIE_SECURE": False},
    "W013": {"SESSION_COOKIE_HTTPONLY": False} | _NO_SESSIONS["middleware"],
    "W014": {"SESSION_COOKIE_HTTPONLY": False} | _NO_SESSIONS["app"],
    "W015": {"SESSION_COOKIE_HTTPONLY": False},
    "W016": {"CSRF_COOKIE_SECURE": False},
    "W018": {"DEBUG": True},
    "W019": {"X_FRAME_OPTIONS": "SAMEORIGIN"},
    "W020": {"ALLOWED_HOSTS": []},
    "W021": {"SECURE_HSTS_PRELOAD": False},
    "W022": {"SECURE_REFERRER_POLICY": None},
    "W025": {"SECRET_KEY_FALLBACKS": ["short"]},
}
CHECK_EACH = """
import io, json, sys, django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.core.management.commands.check import Command

def check():
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    try:
        call_command(Command(), deploy=True, fail_level="WARNING", tags=["security"], **quiet)
    except SystemCheckError as refused:
        return refused.returncode, str(refused)
    return 0, ""

told = {"": check()}
for number, change in json.loads(sys.argv[1]).items():
    before = {name: getattr(settings, name) for name in change}
    for name, value in change.items():
        if isinstance(value, str) and value.startswith("-"):
            assert value[1:] in before[name], value
            value = [one for one in before[name] if one != value[1:]]
        setattr(settings, name, value)
    told[number] = check()
    for name, value in before.items():
        setattr(settings, name, value)
print(json.dumps(told))
"""


@pytest.mark.seed("SEC40")
def test_each_of_djangos_warnings_is_an_error_of_a_deployment(tmp_path: Path) -> None:
    names = {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = in_production(tmp_path, "-c", CHECK_EACH, json.dumps(WEAK), **names)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("") == [0, ""]
    assert told.keys() == WEAK.keys() and len(WEAK) == 21
    for number, (code, text) in told.items():
        assert code == 1 and f"security.{number})" in text, (number, text)


@pytest.mark.seed("SEC41")
def test_production_does_not_start_with_debug(tmp_path: Path) -> None:
    done = in_production(tmp_path, "manage.py", "check", HEADWAY_DEBUG="true")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["HEADWAY_DEBUG may not be on in production."]


@pytest.mark.seed("SEC56")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:word@redis.example.org/0", "use rediss://"),
        ("rediss://redis.example.org/0", "needs a password"),
        ("redis://127.0.0.1/0", "needs a password"),
        ("rediss://user:word@redis.example.org/0", ""),
        ("unix:///run/valkey.sock", ""),
    ],
)
def test_redis_is_reached_by_a_socket_or_with_tls_and_a_password(
    tmp_path: Path, url: str, words: str
) -> None:
    done = in_production(tmp_path, "-c", "from config import settings", REDIS_URL=url)
    assert (done.returncode == 0) is (not words) and words in done.stderr
    assert "word@" not in done.stderr


@pytest.mark.seed("SEC39", "SEC38")
def test_cookies_of_production_are_the_hosts_alone(tmp_path: Path) -> None:
    names = [
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_SECURE",
        "SESSION_COOKIE_HTTPONLY",
        "SESSION_COOKIE_SAMESITE",
        "CSRF_COOKIE_NAME",
        "CSRF_COOKIE_SECURE",
        "CSRF_COOKIE_SAMESITE",
        "SECURE_HSTS_SECONDS",
        "SECURE_HSTS_INCLUDE_SUBDOMAINS",
        "SECURE_SSL_REDIRECT",
    ]
    code = f"import json, config.settings as s; print(json.dumps([getattr(s, n) for n in {names}]))"
    done = in_production(tmp_path, "-c", code)
    told: dict[str, Any] = dict(zip(names, json.loads(done.stdout), strict=True))
    assert told["SESSION_COOKIE_NAME"].startswith("__Host-") and told["CSRF_COOKIE_NAME"].startswith(
        "__Host-"
    )
    assert told["SESSION_COOKIE_SECURE"] and told["CSRF_COOKIE_SECURE"] and told["SESSION_COOKIE_HTTPONLY"]
    assert (told["SESSION_COOKIE_SAMESITE"], told["CSRF_COOKIE_SAMESITE"]) == ("Lax", "Lax")
    assert told["SECURE_HSTS_SECONDS"] >= 31_536_000 and told["SECURE_HSTS_INCLUDE_SUBDOMAINS"]
    assert told["SECURE_SSL_REDIRECT"]


@pytest.mark.seed("SEC39")
def test_the_cookie_is_http_only_and_new_with_each_sign_in(client: Client, alice: User) -> None:
    alice.set_password("a right one")
    alice.save()
    keys = set()
    for _ in range(2):
        answer = client.post("/signin/", {"username": "alice", "password": "a right one"})
        cookie = answer.cookies["sessionid"]
        assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
        assert not cookie["domain"] and len(cookie.OutputString()) <= 4096
        keys.add(cookie.value)
        client.post("/signout/")
    assert len(keys) == 2


@pytest.mark.seed("SEC70")
def test_sign_ins_are_logged_with_who_and_from_where_and_not_what_was_typed(
    client: Client, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    alice.set_password("a right one")
    alice.save()
    with caplog.at_level(logging.INFO, logger="config.security_log"):
        client.post("/signin/", {"username": "my-secret-word", "password": "another\r\nsigned_in user=1"})
        client.post("/signin/", {"username": "alice", "password": "a right one"})
        client.post("/signout/")
    lines = [record.getMessage() for record in caplog.records if record.name == "config.security_log"]
    told = "\n".join(lines)
    found = re.findall(r"signin_failed|signed_in|signed_out", told)
    assert found == ["signin_failed", "signed_in", "signed_out"], told
    assert "my-secret-word" not in told and "another" not in told and "a right one" not in told
    assert told.count("127.0.0.1") == 3


@pytest.mark.seed("SEC67")
@pytest.mark.parametrize("path", ["/django-rq/", "/django_rq/", "/admin/django_rq/", "/rq/", "/api/config"])
def test_the_queues_own_dashboard_has_no_address(admin_client: Client, path: str) -> None:
    assert admin_client.get(path).status_code == 404


@pytest.mark.seed("SEC36")
def test_a_title_in_the_pages_data_ends_no_script(client: Client, alice: User) -> None:
    evil = "</script><script>alert(1)</script><!--<script>"
    client.force_login(alice)
    pages = []
    for name in (evil, "shelf"):
        job = lifecycle.create("shelves", {"name": name, "n": 1}, owner=alice).job
        pages.append(client.get(job.get_absolute_url()).content.decode())
    evil_page, plain = pages
    assert evil not in evil_page and "&lt;/script&gt;" in evil_page
    assert evil_page.count("<script") == plain.count("<script")
    assert evil_page.count("</script") == plain.count("</script")


@pytest.mark.seed("SEC72", "SEC74")
@pytest.mark.django_db(transaction=True)
def test_an_unexpected_error_tells_its_job_nothing_of_the_inside(client: Client, alice: User) -> None:
    job = run_inline("faulty", owner=alice, secretive=True)
    while job.state == "pending":
        job = resume_inline(job)
    client.force_login(alice)
    texts = [json.dumps(job.error), job.message, client.get(job.get_absolute_url()).content.decode()]
    texts += [client.get(f"/api/jobs/{job.pk}{part}").content.decode() for part in ("", "/events", "/items")]
    texts += [row.data if isinstance(row.data, str) else json.dumps(row.data) for row in job.events.all()]
    assert job.state == "failed"
    for text in texts:
        for inside in ("canary-word", "/srv/canary", "canary.internal"):
            assert inside not in text


@pytest.mark.seed("SEC74")
def test_no_page_address_or_line_shows_what_is_secret(
    client: Client, admin_user: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client.force_login(admin_user)
    hidden = [settings.SECRET_KEY, client.session.session_key]
    for name in ("OPENAI_KEY", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"):
        hidden.append(f"canary-{name}")
        setattr(settings, name, hidden[-1])
    paths = ["/", "/account/", "/status/", "/operate/", "/admin/", "/api/config", "/api/openapi.json"]
    paths += ["/metrics", "/readyz", "/healthz", "/nowhere/", "/api/system-status/details", "/api/jobs"]
    with caplog.at_level(logging.DEBUG):
        texts = {path: client.get(path).content.decode() for path in paths}
    texts["the log"] = "\n".join(
        record.getMessage() for record in caplog.records if record.name != "django.db.backends"
    )
    shown = [(path, one) for path, text in texts.items() for one in hidden if one in text]
    assert shown == []


# What a key or a token of ours or of anybody else looks like.
LIKE_A_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bsk-[A-Za-z0-9]{32,}|\bhw_[A-Za-z0-9_-]{43}\b"
)


@pytest.mark.seed("SEC74")
def test_the_checkout_and_the_image_hold_no_secret() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    made = {".git", ".venv", ".headway", "staticfiles", "test-results"} | {one.strip("/") for one in ignored}
    tops = [one for one in ROOT.iterdir() if one.name not in made - {".ci", "deploy", "docs", "tests"}]
    paths = [one for top in tops for one in ([top] if top.is_file() else top.rglob("*"))]
    texts = {
        path: path.read_text(errors="replace")
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(texts) > 500
    assert [path.name for path, text in texts.items() if LIKE_A_SECRET.search(text)] == []
    assert LIKE_A_SECRET.search("token = 'hw_" + "x" * 43 + "'")
    # What a checkout comes to hold when it is used, and deploy/, where its settings are: not in the image.
    assert {".git", ".headway", ".venv", "deploy", "headway-*.tar"} <= ignored
    kept = (ROOT / ".gitignore").read_text() + (ROOT / "deploy" / ".gitignore").read_text()
    assert {".headway/", "headway-*.tar", "headway.env", ".env", "tls/"} <= set(kept.split())


@pytest.mark.seed("SEC79")
def test_every_dependency_is_locked_with_hashes_and_nothing_else_is_installed() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        pinned = re.findall(r"^(\S+?)==\S+(?: ; .+)? \\$", text, re.MULTILINE)
        lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert len(pinned) == len(lines) > 20, set(lines) - set(pinned)
        for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
            if "==" in entry.partition("\n")[0]:
                assert "--hash=sha256:" in entry, entry
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[=<>~;]", one)[0].strip().lower() for one in project["dependencies"]}
    known = {line.split("==")[0].split("[")[0].lower() for line in lines_of("requirements.lock")}
    assert wanted <= known, wanted - known


def lines_of(name: str) -> list[str]:
    return re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(), re.MULTILINE)
