"""The embedded services: made once, kept, private, and clear about what they cannot do."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from config import children, embedded, places
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="headway-embedded-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def postgres(folder):
    """Start PostgreSQL on demand; everything started ends with the test."""
    started = []

    def start(data: Path = folder / "data") -> places.Layout:
        place = places.layout(data)
        places.prepare(place)
        child = embedded.start_postgres(place, output=subprocess.DEVNULL, durable=False)
        started.append(child)
        embedded.wait_for_postgres(place, child)
        return place

    def stop() -> None:
        while started:
            children.stop(started.pop(), signal.SIGINT, 10)

    start.stop = stop
    yield start
    stop()


def test_data_is_kept_between_runs(postgres):
    place = postgres()
    with psycopg.connect(place.database_url.replace("postgres://", "postgresql://")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop()
    place = postgres()
    with psycopg.connect(place.database_url.replace("postgres://", "postgresql://")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@as_root
def test_as_root_the_cluster_belongs_to_nobody_and_nobody_else_gets_in(postgres):
    place = postgres()
    nobody = pwd.getpwnam("nobody")
    assert place.cluster.stat().st_uid == nobody.pw_uid
    assert stat.S_IMODE(place.cluster.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.data.stat().st_mode) == 0o711
    # Even the owner of the cluster's files is not let into the database.
    refused = subprocess.run(
        [embedded.postgres_binaries(place) / "psql", "-h", place.sockets, "-U", "headway", "-c", "SELECT 1"],
        cwd="/", user="nobody", group=nobody.pw_gid, extra_groups=[],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode != 0 and "Peer authentication failed" in refused.stderr


@as_root
def test_below_a_closed_folder_the_cluster_moves_and_says_where(postgres, folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    place = postgres(closed / "data")
    try:
        assert place.home.parent == Path("/var/tmp")
        assert (closed / "data" / "postgres.path").read_text().strip() == str(place.cluster)
    finally:
        postgres.stop()
        shutil.rmtree(place.home)


def test_a_long_path_gets_short_sockets(folder):
    place = places.layout(folder / ("x" * 100))
    assert place.sockets.parent.parent == Path("/var/tmp")
    assert len(str(place.sockets / ".s.PGSQL.5432.lock")) <= places.SOCKET_PATH_MAX


@as_root
def test_an_ordinary_user_runs_it_too(folder):
    nobody = pwd.getpwnam("nobody")
    wheel = embedded._wheel_folder()
    if wheel is None or not all(parent.stat().st_mode & stat.S_IXOTH for parent in wheel.parents):
        pytest.skip("this checkout is closed to ordinary users")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    embedded.valkey_binary()
    # A fork and not a fresh interpreter: Python itself may lie where an ordinary user cannot look.
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            place = places.layout(folder / "data")
            places.prepare(place)
            postgres = embedded.start_postgres(place, output=subprocess.DEVNULL)
            valkey = embedded.start_valkey(place, output=subprocess.DEVNULL)
            embedded.wait_for_postgres(place, postgres)
            embedded.wait_for_valkey(place, valkey)
            children.stop(postgres, signal.SIGINT, 10)
            children.stop(valkey, signal.SIGTERM, 10)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (folder / "data" / "postgres" / "PG_VERSION").stat().st_uid == nobody.pw_uid


def test_another_major_version_is_refused_with_the_way_out(folder):
    place = places.layout(folder / "data")
    places.prepare(place)
    (place.cluster / "PG_VERSION").write_text("13\n")
    with pytest.raises(places.ServiceError, match=r"belongs to PostgreSQL 13.*\./run backup.*--data NEW"):
        embedded.start_postgres(place)


def test_an_interrupted_first_start_is_made_again(postgres, folder):
    place = places.layout(folder / "data")
    places.prepare(place)
    (place.cluster / "base").mkdir()
    postgres()


def test_a_stale_pid_file_of_another_process_does_not_hold_us_up(folder):
    place = places.layout(folder / "data")
    places.prepare(place)
    (place.cluster / "postmaster.pid").write_text(f"{os.getpid()}\n")
    embedded.await_orphan(place)
    assert not (place.cluster / "postmaster.pid").exists()


def test_valkey_keeps_its_keys(folder):
    place = places.layout(folder / "data")
    places.prepare(place)
    for expected in (None, b"1"):
        child = embedded.start_valkey(place, output=subprocess.DEVNULL)
        try:
            embedded.wait_for_valkey(place, child)
            with redis.Redis(unix_socket_path=str(place.valkey_socket)) as client:
                assert client.get("kept") == expected
                client.set("kept", 1)
        finally:
            children.stop(child, signal.SIGTERM, 5)


def test_without_any_binaries_the_error_says_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(embedded, "_wheel_folder", lambda: None)
    monkeypatch.setattr(embedded, "_machine_binaries", lambda: None)
    with pytest.raises(places.ServiceError, match="or set DATABASE_URL"):
        embedded.postgres_binaries(places.layout(folder))


def test_a_child_dies_with_its_parent(folder):
    marker = folder / "pid"
    code = (
        "from config import children; import pathlib, sys, time\n"
        "child = children.start([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(marker)!r}).write_text(str(child.pid)); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    pid = int(until(lambda: marker.exists() and marker.read_text(), what="the child"))
    parent.kill()
    parent.wait()
    until(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the child")


def test_sockets_fit_the_kernel(folder):
    place = places.layout(folder / ("y" * 60))
    with socket.socket(socket.AF_UNIX) as probe:
        places.prepare(place)
        probe.bind(str(place.valkey_socket))
    shutil.rmtree(place.sockets.parent)
