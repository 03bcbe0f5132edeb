"""What is said when the services that we are given cannot be used."""

import os
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.db import connection
from psycopg.pq import TransactionStatus

from config import checks, embedded, health, sessions
from tests.commands.conftest import process, run
from tests.waiting import until

STRANGER = "headway_test_stranger"


class OldRedis(socketserver.StreamRequestHandler):
    """Answers as an old server does, as far as a client asks at the start."""

    version = b""

    def handle(self) -> None:
        """Answer one command after the other."""
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:size].upper())
            if words[0] == b"INFO":
                text = b"# Server\r\nredis_version:%b\r\n" % self.version
                self.wfile.write(b"$%d\r\n%b\r\n" % (len(text), text))
            elif words[0] == b"PING":
                self.wfile.write(b"+PONG\r\n")
            elif words[0] == b"HELLO" and self.version >= b"6":
                self.wfile.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            elif words[0] == b"SELECT":
                self.wfile.write(b"+OK\r\n")
            else:
                self.wfile.write(b"-ERR unknown command\r\n")


@pytest.fixture(params=[b"5.0.14", b"6.0.20"])
def old_redis(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Serve an old Redis; the settings name it. Before 6.0 even the client's greeting is unknown to it."""
    monkeypatch.setattr(OldRedis, "version", request.param)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OldRedis) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.REDIS_URL = f"redis://127.0.0.1:{server.server_address[1]}/0"
        monkeypatch.setattr("ingestion.queues._quick", None)
        yield settings.REDIS_URL
        server.shutdown()


def test_an_old_redis_is_named_by_readiness(old_redis: str) -> None:
    """ENV38."""
    assert health._redis() == "Redis 6.2 or newer is needed."


@pytest.mark.django_db
def test_a_worker_refuses_an_old_redis(old_redis: str) -> None:
    """ENV38."""
    said = run("worker")
    assert (said.code, said.err) == (1, "Redis 6.2 or newer is needed.")


@pytest.fixture
def evicting_redis(settings: Any) -> Iterator[str]:
    """Start a Redis that drops keys when its memory is full; the settings name it."""
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as folder:
        place = f"{folder}/valkey.sock"
        options = ["--unixsocket", place, "--port", "0", "--save", "", "--maxmemory-policy", "allkeys-lru"]
        options += ["--maxmemory", "64mb"]
        server = subprocess.Popen([str(embedded.valkey_binary()), *options], stdout=subprocess.DEVNULL)
        settings.REDIS_URL = f"unix://{place}?db=0"
        until(lambda: Path(place).exists() or server.poll() is not None, 30, "its socket")
        yield settings.REDIS_URL
        server.kill()
        server.wait(10)


@pytest.mark.django_db
def test_a_redis_that_drops_keys_is_refused_and_named(
    evicting_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X15."""
    monkeypatch.setattr("ingestion.queues._quick", None)
    said = run("worker")
    assert said.code == 1
    assert "maxmemory-policy" in said.err and "allkeys-lru" in said.err
    assert health._redis() == said.err
    with redis.Redis.from_url(evicting_redis) as client:
        client.config_set("maxmemory", 0)  # with no limit nothing is dropped, whatever the policy says
    assert health._redis() == "ok"


def found_by_check() -> list[tuple[str, str]]:
    """Return what `check --database default` finds of ours: ids and texts."""
    found = run_checks(tags=[Tags.database], databases=["default"])
    return [(str(one.id), one.msg) for one in found if str(one.id).startswith("headway.")]


@pytest.mark.django_db
def test_the_checks_of_a_set_up_name_a_redis_that_drops_keys(evicting_redis: str) -> None:
    ((number, text),) = found_by_check()
    assert number == "headway.E002" and "allkeys-lru" in text
    with redis.Redis.from_url(evicting_redis) as client:
        client.config_set("maxmemory-policy", "noeviction")
    assert found_by_check() == []


@pytest.mark.django_db
def test_the_checks_of_a_set_up_name_what_does_not_answer(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL, settings.EMBEDDED_POSTGRES = "unix:///nowhere/valkey.sock", False
    assert [number for number, _ in found_by_check()] == ["headway.E001"]
    assert run_checks(tags=[Tags.database]) == []  # nobody said that services may be asked
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    assert sorted(number for number, _ in found_by_check()) == ["headway.E001", "headway.E003"]


def test_the_checks_of_a_deployment_name_what_is_missing(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "not" / "made")
    settings.EMAIL_READY, settings.TRUSTED_PROXIES, settings.SEC_CONTACT = False, [], ""
    found = [*checks.files_can_be_stored(), *checks.what_will_be_missing()]
    assert [one.id for one in found] == ["headway.I001", "headway.I002", "headway.I003"]
    assert all(one.hint for one in found)
    settings.EMAIL_READY, settings.TRUSTED_PROXIES = True, ["10.0.0.1"]
    settings.SEC_CONTACT = "Example admin@example.org"
    (tmp_path / "file").write_text("")  # in which nobody can make a folder, whatever they may
    settings.MEDIA_ROOT = str(tmp_path / "file" / "folder")
    found = [*checks.files_can_be_stored(), *checks.what_will_be_missing()]
    assert [(one.id, bool(one.hint)) for one in found] == [("headway.E005", True)]


class Pooler:
    """What a transaction pooler does, with real sessions: the one freed last serves whoever comes next."""

    def __init__(self) -> None:
        self.free = [connection.copy(), connection.copy()]
        self.held: dict[int, Any] = {}

    def client(self, number: int) -> sessions.Ask:
        def ask(sql: str) -> int:
            session = self.held.pop(number, None) or self.free.pop()
            found = sessions.asker(session)(sql)
            if session.connection.info.transaction_status == TransactionStatus.INTRANS:
                self.held[number] = session
            else:
                self.free.append(session)
            return found

        return ask

    def close(self) -> None:
        for session in (*self.free, *self.held.values()):
            session.close()


@pytest.mark.django_db
def test_a_transaction_pooler_is_noticed() -> None:
    pooler = Pooler()
    try:
        assert sessions.change_hands(pooler.client(1), pooler.client(2))
    finally:
        pooler.close()


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["worker", "keeper"])
def test_who_needs_sessions_refuses_a_pooler(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "EMBEDDED_POSTGRES", False)
    assert not sessions.shared()  # of the real server: each connection is a session of its own
    monkeypatch.setattr(sessions, "change_hands", lambda *_: True)
    said = run(command)
    assert (said.code, said.err) == (1, sessions.REFUSED)


@pytest.fixture
def stranger(transactional_db: None) -> Iterator[str]:
    """The address of an empty database, for somebody who may connect and nothing else.

    By role: the test's own PostgreSQL lets in no second user.
    """
    database = f"{connection.settings_dict['NAME']}_stranger"
    statements = [
        f"DROP DATABASE IF EXISTS {database}",
        f"DROP ROLE IF EXISTS {STRANGER}",
        f"CREATE ROLE {STRANGER}",
        f"CREATE DATABASE {database}",
    ]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    parts = urlsplit(os.environ["DATABASE_URL"])
    query = f"{parts.query}&" if parts.query else ""
    yield urlunsplit(parts._replace(path=f"/{database}", query=f"{query}options=-c%20role%3D{STRANGER}"))
    with connection.cursor() as cursor:
        for statement in statements[:2]:
            cursor.execute(statement)


def test_migrate_without_rights_says_so(stranger: str) -> None:
    """ENV30."""
    said = process("migrate", DATABASE_URL=stranger)
    assert said.code == 1
    assert said.err.startswith("DATABASE_URL: the user 'headway' cannot create tables in ")
    assert said.err.count("\n") == 1
