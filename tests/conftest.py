"""What every test may use: services, the cast, real input, coroutine tests."""

import inspect
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from asgiref.sync import async_to_sync

from tests.measured import measured
from tests.services import Services

if TYPE_CHECKING:  # models cannot be imported before the settings are named, see pytest_configure
    from django.contrib.auth.models import User

ROOT = Path(__file__).resolve().parent.parent
REDIS_DATABASES = 16
FLUSH_TRIES = 100
FLUSH_WHOLE = 2**20  # bytes; above it a table is emptied by TRUNCATE
# A server that outlives a test holds the epoch, and no deployment ever loses its own; the other two
# hold what the models are, not what a test did.
NOT_FLUSHED = {"realtime_epoch", "django_content_type", "auth_permission"}
_services = Services()

# How long hypothesis takes to think of an example tells about the machine, not about what is tested.
# The same test makes the same examples everywhere: a change is not refused for what an older one did wrong.
# `./run test --faults` looks for what nobody has seen yet.
hypothesis.settings.register_profile(
    "ours",
    deadline=None,
    derandomize=os.environ.get("HEADWAY_FAULTS") != "full",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("ours")


def pytest_configure(config: pytest.Config) -> None:
    """Start the services before Django reads its settings (pytest-django does that last)."""
    from django.conf import settings

    # Shells start what runs in the background with Ctrl-C ignored; the commands we press it for must hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if settings.configured and not {"DATABASE_URL", "REDIS_URL"} <= os.environ.keys():
        pytest.exit("Set DATABASE_URL and REDIS_URL too, or unset DJANGO_SETTINGS_MODULE.", 4)
    os.environ.setdefault("HEADWAY_PROFILE", "test")
    # Sources that wait, fail and kill, beside those of whoever writes one: a shell may name them already.
    named = [name.strip() for name in os.environ.get("HEADWAY_EXTRA_APPS", "").split(",")]
    os.environ["HEADWAY_EXTRA_APPS"] = ",".join(filter(None, dict.fromkeys(["tests.demo", *named])))
    if "HEADWAY_DATA" not in os.environ:
        folder = tempfile.mkdtemp(prefix="headway-test-data-")
        os.environ["HEADWAY_DATA"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.add_cleanup(_services.stop)
    _services.start()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    assert settings.DATABASES  # reads them now: pytest-django sets Django up only with settings already read
    _flush_quickly()


def _flush_quickly() -> None:
    """Empty the tables beside servers that read and write them, without a new file for each.

    TRUNCATE makes files for every table and index anew, which costs more than most tests. The lock waits for
    writers, as TRUNCATE's does; it takes all tables in one statement while a server may hold one and want the
    next: a deadlock, whose victim PostgreSQL chooses. So it gives up before that is noticed, and tries again.
    """
    from django.apps import apps
    from django.core.management.commands import flush
    from django.db import OperationalError, connections, transaction
    from django.db.backends.postgresql.operations import DatabaseOperations

    def execute_sql_flush(self: DatabaseOperations, sql_list: list[str]) -> None:
        from ingestion.sources.imports.default import put

        connection = connections[self.connection.alias]
        for left in reversed(range(FLUSH_TRIES)):
            try:
                with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '200ms'")
                    for sql in sql_list:
                        cursor.execute(sql)
                put(apps)  # what a migration writes, every deployment has
                return
            except OperationalError as error:
                if "lock timeout" not in str(error) or not left:
                    raise

    truncate = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, style: Any, tables: list[str], **more: Any) -> list[str]:
        emptied = [table for table in tables if table not in NOT_FLUSHED]
        names = ", ".join(self.quote_name(table) for table in emptied)
        deletes = " ".join(f"DELETE FROM {self.quote_name(table)};" for table in emptied)
        listed = ", ".join(f"'{table}'::regclass" for table in emptied)
        (whole,) = truncate(self, style, emptied, **more)
        return [
            f"""DO $$ BEGIN
                LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE;
                IF current_setting('is_superuser') = 'off' OR EXISTS (
                    SELECT FROM unnest(ARRAY[{listed}]) one WHERE pg_relation_size(one) > {FLUSH_WHOLE}
                ) THEN
                    ALTER TABLE headway_auditlog DISABLE TRIGGER USER;  -- nobody else empties the audit log
                    {whole}
                    ALTER TABLE headway_auditlog ENABLE TRIGGER USER;
                ELSE
                    SET LOCAL session_replication_role = replica;  -- no triggers, in any order
                    {deletes}
                END IF;
            END $$"""
        ]

    DatabaseOperations.execute_sql_flush = execute_sql_flush
    DatabaseOperations.sql_flush = sql_flush
    flush.emit_post_migrate_signal = lambda *args, **more: None  # it would look for what was not flushed


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Give each process of xdist a Redis database and a folder of its own, as it has its PostgreSQL database.

    Through the environment it starts with: it reads the settings before it comes to this file.
    """
    for number, spec in enumerate(specs, 8):
        url = os.environ["REDIS_URL"]
        spec.env["REDIS_URL"] = re.sub(r"(\?db=)\d+$", rf"\g<1>{number % REDIS_DATABASES}", url)
        folder = Path(os.environ["HEADWAY_DATA"]) / f"process-{number}"
        folder.mkdir(mode=0o755, exist_ok=True)
        spec.env["HEADWAY_DATA"] = str(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what a case measured, for the table of `./run test --faults`."""
    report = yield
    if report.failed or (call.when == "call" and not report.skipped):
        measured.write(item.name.partition("[")[0], report.passed)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Measure anew."""
    measured.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test. With pytest-asyncio the ORM leaves the test's transaction and commits."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    async_to_sync(pyfuncitem.obj)(**{name: pyfuncitem.funcargs[name] for name in names})
    return True


def _user(name: str, **values: Any) -> "User":
    from django.contrib.auth.models import User

    return User.objects.create_user(name, **values)


@pytest.fixture
def alice(db: Any) -> "User":
    """The owner of things."""
    return _user("alice", password="alice's secret")


@pytest.fixture
def bob(db: Any) -> "User":
    """A stranger to alice's things."""
    return _user("bob", password="bob's secret")


@pytest.fixture
def staff(db: Any) -> "User":
    """Staff with both permissions of operators."""
    from django.contrib.auth.models import Permission

    user = _user("staff", password="staff's secret", is_staff=True)
    names = ["view_all_jobs", "operate"]
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="ingestion", codename__in=names)
    )
    return user


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files; skips, and says so, where it is absent."""
    folder = Path(os.environ.get("HEADWAY_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"HEADWAY_REAL_DATA: no real files at {folder}")
    return folder
