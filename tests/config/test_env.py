"""Settings from the environment: each bad value is one line that names the setting (ENV rows)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.env import Environment, SettingsError

ROOT = Path(__file__).resolve().parent.parent.parent
PRODUCTION = {
    "HEADWAY_PROFILE": "production",
    "HEADWAY_SECRET_KEY": "k" * 60,
    "HEADWAY_SITE_URL": "https://example.org",
    "HEADWAY_ALLOWED_HOSTS": "example.org",
    "DATABASE_URL": "postgres://u:p@db.example.org/headway",
    "REDIS_URL": "rediss://:secret@redis.example.org/0",
}
# Row, what is set (None: unset), words of the line; `production`: on top of PRODUCTION.
ROWS = [
    ("ENV1", {"HEADWAY_SECRET_KEY": None}, "must be set", "production"),
    ("ENV2", {"HEADWAY_SECRET_KEY": ""}, "must be set", "production"),
    ("ENV3", {"HEADWAY_SECRET_KEY": "a" * 10}, "at least 50 characters", "production"),
    ("ENV5", {"HEADWAY_SECRET_KEY_FALLBACK": "k" * 60}, "must differ", "production"),
    ("ENV6", {"HEADWAY_DEBUG": "maybe"}, "must be true or false", ""),
    ("ENV8", {"HEADWAY_DEBUG": "1"}, "may not be on in production", "production"),
    ("ENV9", {"HEADWAY_PROFILE": "prod"}, "one of: development, test, production", ""),
    ("ENV10", {"HEADWAY_ALLOWED_HOSTS": None}, "must name the site", "production"),
    ("ENV11", {"HEADWAY_ALLOWED_HOSTS": "*"}, r"may not be \*", "production"),
    ("ENV12", {"HEADWAY_ALLOWED_HOSTS": "https://x.org"}, "host names only, without https://", ""),
    ("ENV13a", {"HEADWAY_ALLOWED_HOSTS": "a b"}, "separate with commas", ""),
    ("ENV13b", {"HEADWAY_ALLOWED_HOSTS": ",,"}, "separate with commas", ""),
    ("ENV14a", {"HEADWAY_SITE_URL": None}, "must start with https://", "production"),
    ("ENV14b", {"HEADWAY_SITE_URL": "example.org"}, "must start with https://", "production"),
    ("ENV14c", {"HEADWAY_SITE_URL": "http://example.org"}, "must start with https://", "production"),
    ("ENV15a", {"HEADWAY_SITE_URL": "https://example.org/app"}, "no path", "production"),
    ("ENV15b", {"HEADWAY_SITE_URL": "https://example.org?a=1"}, "no path", "production"),
    ("ENV16", {"HEADWAY_SITE_URL": "https://other.org"}, "host must be in ALLOWED_HOSTS", "production"),
    ("ENV18", {"HEADWAY_WS_ORIGINS": "example.org"}, "needs scheme, for example https://example.org", ""),
    ("ENV19", {"HEADWAY_WS_ORIGINS": "https://example.org/"}, "no path", ""),
    ("ENV21", {"HEADWAY_CSRF_TRUSTED_ORIGINS": "example.org"}, "needs scheme", ""),
    ("ENV22", {"DATABASE_URL": None}, "must be set", "production"),
    ("ENV23", {"DATABASE_URL": "sqlite:///x"}, "PostgreSQL is the only database", "production"),
    ("ENV24", {"DATABASE_URL": "postgres//x:secret"}, "cannot be read", ""),
    ("ENV26", {"DATABASE_URL": "mysql://x/y"}, "must start with postgres://", ""),
    ("ENV27", {"DATABASE_URL": "postgres://u@h:abc/n"}, "port must be a number", ""),
    ("ENV31", {"REDIS_URL": None}, "must be set", "production"),
    ("ENV32", {"REDIS_URL": "localhost:6379"}, "must start with redis://, rediss:// or unix://", ""),
    ("ENV33", {"REDIS_URL": "redis://:p@redis.example.org/0"}, "use rediss://", "production"),
    ("ENV34", {"REDIS_URL": "rediss://redis.example.org/0"}, "needs a password", "production"),
    ("ENV35a", {"REDIS_URL": "redis://localhost/abc"}, "database must be 0-15", ""),
    ("ENV35b", {"REDIS_URL": "redis://localhost/99"}, "database must be 0-15", ""),
    ("ENV35c", {"REDIS_URL": "unix:///run/valkey.sock?db=99"}, "database must be 0-15", ""),
    *[
        (f"ENV39 {value}", {"HEADWAY_REDIS_SOCKET_TIMEOUT": value}, "more than 5 seconds|whole number", "")
        for value in ("5", "0", "-1", "none", "abc")
    ],
    *[
        (f"ENV42 {value}", {"HEADWAY_JOB_LEASE_SECONDS": value}, "whole number 5-300", "")
        for value in ("0", "-1", "abc", "1e9", "2.5")
    ],
    *[
        (f"ENV47 {value}", {"HEADWAY_MAX_UPLOAD_MB": value}, "whole number 1-1024", "")
        for value in ("0", "-5", "10000", "25MB")
    ],
    ("ENV48a", {"HEADWAY_MAX_BODY_KB": "0"}, "1-10240", ""),
    ("ENV48b", {"HEADWAY_MAX_BODY_KB": "2048", "HEADWAY_MAX_UPLOAD_MB": "1"}, "1-10240", ""),
    ("ENV49", {"HEADWAY_MAX_QUEUED_PER_USER": "0"}, "1-100000", ""),
    ("ENV50a", {"HEADWAY_WS_MAX_SOCKETS_PER_USER": "0"}, "1-1000", ""),
    ("ENV50b", {"HEADWAY_WS_MAX_SOCKETS_PER_USER": "1000000000"}, "1-1000", ""),
    ("ENV51a", {"HEADWAY_WS_HEARTBEAT_SECONDS": "0"}, "5-45", ""),
    ("ENV51b", {"HEADWAY_WS_HEARTBEAT_SECONDS": "120"}, "5-45", ""),
    ("ENV52", {"HEADWAY_WS_ALLOW_COMPRESSION": "1"}, "not supported", ""),
    ("ENV53a", {"HEADWAY_SESSION_SWEEP_SECONDS": "0"}, "5-60", ""),
    ("ENV53b", {"HEADWAY_SESSION_SWEEP_SECONDS": "3600"}, "5-60", ""),
    ("ENV54a", {"HEADWAY_SESSION_COOKIE_AGE": "0"}, "60-31536000", ""),
    ("ENV54b", {"HEADWAY_SESSION_COOKIE_AGE": "-1"}, "60-31536000", ""),
    *[
        (
            f"ENV55 {value}",
            {"HEADWAY_UPLOAD_DIR": value},
            "must be a writable folder outside the web root",
            "",
        )
        for value in ("/no/such/folder", str(ROOT / "run"), "/", "relative")
    ],
    *[
        (
            f"ENV58 {value}",
            {"HEADWAY_TRUSTED_PROXIES": value},
            "list of addresses or networks; not everything",
            "",
        )
        for value in ("0.0.0.0/0", "::/0", "abc", "10.0.0.0/33")
    ],
    *[
        (f"ENV60 {value}", {"HEADWAY_EMAIL_URL": value}, "cannot be read", "")
        for value in ("smtp://", "foo://x", "smtp://u:hush@mail.example.org:port", "mail.example.org")
    ],
    ("email clear", {"HEADWAY_EMAIL_URL": "smtp://mail.example.org"}, "in the clear", "production"),
    (
        "email from",
        {"HEADWAY_EMAIL_FROM": None, "HEADWAY_EMAIL_URL": "smtps://h"},
        "must be set",
        "production",
    ),
    *[
        (f"ENV61 {value}", {"HEADWAY_EMAIL_FROM": value}, "must be an e-mail address", "")
        for value in ("not an address", "a@b, c@d", "@b", "a@")
    ],
    ("links", {"HEADWAY_LINK_HOSTS": "https://x.org"}, "host names only", ""),
    ("all links", {"HEADWAY_LINK_HOSTS": "*"}, r"may not be \*", ""),
    ("ENV69", {"HEADWAY_FETCH_ALLOW": "127.0.0.1"}, "not in production", "production"),
    ("ENV57", {"TMPDIR": "/no/such/folder"}, "the temporary folder is not writable", ""),
    ("ENV62", {"HEADWAY_TIME_ZONE": "Mars/Base"}, "unknown time zone", ""),
    ("ENV63", {"HEADWAY_LANGUAGE_CODE": "xx"}, "one of: en-gb", ""),
    ("ENV64", {"HEADWAY_LOG_LEVEL": "loud"}, "one of: DEBUG, INFO, WARNING, ERROR", ""),
    ("ENV71", {"HEADWAY_DEBUG_FAILPOINTS": "1"}, "not in production", "production"),
    *[
        (f"ENV73 {value!r}", {"HEADWAY_DEBUG": value}, "must be true or false", "")
        for value in ("2", "", "yes!")
    ],
    *[
        (f"ENV74 {value}", {"HEADWAY_MAX_QUEUED": value}, "whole number", "")
        for value in ("1_0", "\uff11\uff10", "1 0", "0x10", "")
    ],
    ("ENV75", {"HEADWAY_LOG_LEVEL": "INFO\nDEBUG"}, "one line of text", ""),
    ("apps", {"HEADWAY_EXTRA_APPS": "my-app"}, "names of Python packages", ""),
]


READER = """
import json, os, runpy, sys
from config.env import SettingsError
for line in sys.stdin:
    os.environ.clear()
    os.environ.update(json.loads(line))
    try:
        found = runpy.run_module("config.settings")
    except SettingsError as error:
        answer = {"problems": list(error.problems)}
    else:
        names = ("DEBUG", "MAX_QUEUED", "UNKNOWN_SETTINGS", "DATABASES")
        answer = {"problems": [], **{name: found[name] for name in names}}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def reader():
    """Run the settings module anew for each environment, in one process that is not ours."""
    child = subprocess.Popen(
        [sys.executable, "-c", READER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield child
    child.stdin.close()
    child.wait(10)
    child.stdout.close()


@pytest.fixture
def settings_with(reader, tmp_path):
    def read(changes: dict[str, str | None], *, production: bool = False) -> dict[str, Any]:
        given = {"HEADWAY_DATA": str(tmp_path), **(PRODUCTION if production else {}), **changes}
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HEADWAY_", "DATA", "REDIS"))
        }
        env = kept | {name: value for name, value in given.items() if value is not None}
        reader.stdin.write(json.dumps(env) + "\n")
        reader.stdin.flush()
        return json.loads(reader.stdout.readline())

    return read


@pytest.mark.parametrize(("row", "changes", "words", "profile"), ROWS, ids=[row[0] for row in ROWS])
def test_a_bad_value_is_one_line_naming_the_setting(row, changes, words, profile, settings_with):
    problems = settings_with(changes, production=profile == "production")["problems"]

    assert [line for line in problems if re.search(words, line) and line.startswith(tuple(changes))], problems
    assert all("\n" not in line for line in problems)


def test_all_problems_are_named_at_once(settings_with):
    assert len(settings_with({"HEADWAY_DEBUG": "maybe", "HEADWAY_MAX_QUEUED": "many"})["problems"]) == 2


def test_production_with_good_values_starts(settings_with):
    assert not settings_with({}, production=True)["problems"]


def test_nothing_set_runs(settings_with):
    assert not settings_with({})["problems"]


@pytest.mark.parametrize("value", ["True ", " true", "1", "YES"])
def test_a_boolean_is_trimmed(value, settings_with):
    """ENV7."""
    assert settings_with({"HEADWAY_DEBUG": value})["DEBUG"] is True


def test_a_number_is_trimmed(settings_with):
    assert settings_with({"HEADWAY_MAX_QUEUED": " 12 "})["MAX_QUEUED"] == 12


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [
        ("ENV40", "HEADWAY_RQ_SERIALIZER", "pickle"),  # always JSON
        ("ENV41", "HEADWAY_RQ_QUEUES", "a,a"),  # a source belongs to one of three
        ("ENV43", "HEADWAY_JOB_HEARTBEAT_SECONDS", "6"),  # once a second, whatever the lease
        ("ENV45", "HEADWAY_JOB_MAX_ATTEMPTS", "0"),  # said by each source
        ("ENV46", "HEADWAY_JOB_MAX_RUNTIME", "0"),  # the same
        ("ENV67", "HEADWAY_METRICS_TOKEN", "short"),  # a token of the API, or a network
        ("ENV70", "HEADWAY_FETCH_USER_AGENT", "a\nb"),
    ],
)
def test_what_the_catalogue_would_set_and_we_do_not_is_noticed(row, name, value, settings_with):
    found = settings_with({name: value})
    assert (found["problems"], found["UNKNOWN_SETTINGS"]) == ([], [name])


def test_a_misspelt_setting_is_noticed(settings_with):
    assert settings_with({"HEADWAY_LOG_LEVLE": "INFO"})["UNKNOWN_SETTINGS"] == ["HEADWAY_LOG_LEVLE"]


@pytest.mark.parametrize("role", ["web", "worker", "keeper", ""])
def test_only_web_has_a_pool_and_gives_up_soon(role, settings_with):
    options = settings_with({"HEADWAY_ROLE": role})["DATABASES"]["default"]["OPTIONS"]
    session = options.get("options", "")
    assert ("pool" in options and "statement_timeout=5000" in session) == (role == "web")
    assert (options.get("tcp_user_timeout") == 6000) == (role == "web")
    assert ("idle_in_transaction_session_timeout=15000" in session) == (role in ("worker", "keeper"))
    waits = {"web": ["3000"], "keeper": ["2000"]}  # a source's own statement may wait for another's
    assert re.findall(r"-c lock_timeout=(\d+)", session) == waits.get(role, [])


def test_the_secret_key_is_made_once_and_private(settings_with, tmp_path):
    settings_with({})
    key = (tmp_path / "secret_key").read_text()
    settings_with({})
    assert (tmp_path / "secret_key").read_text() == key and len(key) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_command_with_broken_settings_ends_with_the_lines_alone():
    env = {**os.environ, "HEADWAY_DEBUG": "maybe"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--tag", "security"],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "HEADWAY_DEBUG must be true or false, not 'maybe'.\n")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp+tls://me%40x:p%2Fw@mail.example.org", ["mail.example.org", 587, "me@x", "p/w", True, False]),
        ("smtps://mail.example.org", ["mail.example.org", 465, "", "", False, True]),
        ("smtp://127.0.0.1:2525", ["127.0.0.1", 2525, "", "", False, False]),
    ],
)
def test_a_mail_server_is_read_from_its_address(url, expected):
    env = Environment({"A": url, "B": "Headway <h@example.org>"})
    assert list((env.email_url("A", production=True) or {}).values()) == expected
    assert env.address("B", "x@y") == "Headway <h@example.org>" and not env.problems


def test_a_failpoint_that_does_not_exist_is_named():
    """ENV72."""
    env = {**os.environ, "HEADWAY_DEBUG_FAILPOINTS": "1", "HEADWAY_FAILPOINTS": "nosuch=exit"}
    done = subprocess.run(
        [sys.executable, "manage.py", "sources"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "HEADWAY_FAILPOINTS: no failpoint nosuch\n")


@pytest.mark.seed("SEC74")
def test_a_secret_never_shows_in_a_problem():
    env = Environment(
        {"A": "hush", "B": "postgres://u:hush@h:bad/n", "C": "http://:hush@x", "D": "smtp://u:hush@h:x"}
    )
    env.secret("A", 50)
    env.database_url("B")
    env.redis_url("C", production=True)
    env.email_url("D", production=True)
    with pytest.raises(SettingsError) as caught:
        env.refuse()
    assert len(caught.value.problems) == 4 and "hush" not in str(caught.value)


@pytest.mark.parametrize(("role", "pages"), [("web", True), ("worker", False), ("keeper", False), ("", True)])
def test_only_who_shows_pages_loads_them(role, pages):
    """A sixth of a worker's start would be the admin, the API and what only pages need."""
    code = (
        "import django; django.setup(); import sys; from django.urls import reverse;"
        "late = {'ninja', 'openpyxl', 'ingestion.admin.jobs'} & set(sys.modules);"
        f"print(sorted(late), reverse('{'admin:index' if pages else 'ingestion:jobs'}'))"
    )
    env = {**os.environ, "HEADWAY_ROLE": role, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    loaded = ["ingestion.admin.jobs", "ninja"] if pages else []
    assert done.stdout == f"{loaded} {'/admin/' if pages else '/jobs/'}\n"
