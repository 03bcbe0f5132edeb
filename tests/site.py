"""Web processes as a deployment has them, with a proxy at every joint that a test may break."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

from tests.demo.sabotage import LOOK_SECONDS
from tests.engine import Engine, environment
from tests.proxy import Address, Proxy
from tests.waiting import until

BEAT_SECONDS = SWEEP_SECONDS = 5  # the least that the settings take
# Every read of job streams runs one statement with this in it, however many streams and viewers it is for.
READ = b"CROSS JOIN LATERAL"


class Site:
    """Web processes behind one address.

    front, redis, database: proxies before the first process, and between all processes and their services.
    server: uvicorn, as `serve` starts it, or daphne.
    """

    def __init__(self, server: str = "uvicorn") -> None:
        self.engine = Engine()
        self.server = server
        self.switches = Path(tempfile.mkdtemp(prefix="headway-test-switches-"))
        self.redis = Proxy(_redis_address(os.environ["REDIS_URL"]))
        self.database = Proxy(database_address(), mark=READ)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.front = Proxy(("127.0.0.1", self.web()))

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Return the process that the front leads to."""
        assert isinstance(self.front.target, tuple)
        return self.processes[self.front.target[1]]

    @property
    def direct(self) -> str:
        """Return the address of that process itself."""
        return "{}:{}".format(*self.front.target)

    def web(self, host: str = "127.0.0.1", *, through: str = "", **env: str) -> int:
        """Start a web process and return its port when it serves.

        through: the address of another proxy before its database. Redis then has none: ours is in this
        process, and where hundreds of viewers live in it too, each answer of Redis would wait for them.
        """
        database = urlsplit(environment()["DATABASE_URL"])
        number = parse_qs(urlsplit(os.environ["REDIS_URL"]).query).get("db", ["0"])[0]
        redis = os.environ["REDIS_URL"] if through else f"redis://{self.redis.address}/{number}"
        start, option = (self.engine.daphne, "-b") if self.server == "daphne" else (self.engine.web, "--host")
        process, port = start(
            option,
            host,
            DATABASE_URL=f"postgres://{database.username}@{through or self.database.address}{database.path}",
            REDIS_URL=redis,
            HEADWAY_WS_HEARTBEAT_SECONDS=str(BEAT_SECONDS),
            HEADWAY_SESSION_SWEEP_SECONDS=str(SWEEP_SECONDS),
            HEADWAY_TEST_SWITCHES=str(self.switches),
            **env,
        )
        self.processes[port] = process
        return port

    @contextmanager
    def without(self, *protections: str) -> Iterator[None]:
        """Switch protections of the web processes off (tests/demo/sabotage.py) and on again."""
        for name in protections:
            (self.switches / name).touch()
        time.sleep(LOOK_SECONDS)  # the processes may have looked just before
        try:
            yield
        finally:
            for name in protections:
                (self.switches / name).unlink()
            time.sleep(LOOK_SECONDS)

    def heal(self) -> None:
        """Let everything work again, with one process."""
        for proxy in (self.redis, self.database, self.front):
            proxy.heal()
            proxy.allow()
        for port, process in list(self.processes.items()):
            if process.poll() is not None:
                del self.processes[port]
        if not self.processes:
            self.web()
        port, *more = self.processes
        self.front.target = ("127.0.0.1", port)
        for other in more:
            self.engine.kill(self.processes.pop(other))
        until(self._is_ready, 30, "the site to be well again")

    def close(self) -> None:
        """End all of it."""
        self.engine.stop()
        for proxy in (self.redis, self.database, self.front):
            proxy.close()
        for switch in self.switches.iterdir():
            switch.unlink()
        self.switches.rmdir()

    def log(self) -> str:
        """Return what the processes wrote."""
        return self.engine.log.read_text()

    def _is_ready(self) -> bool:
        """Say whether database and Redis are reached (there is neither worker nor keeper)."""
        try:
            urlopen(f"http://{self.front.address}/readyz", timeout=5).close()
        except HTTPError as answer:
            checks = json.load(answer)["checks"]
            return checks["database"] == checks["redis"] == "ok"
        except OSError:
            return False
        return True


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _redis_address(url: str) -> Address:
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "unix" else (parts.hostname or "", parts.port or 6379)


def database_address() -> Address:
    """Return where PostgreSQL listens."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    host = unquote(parts.hostname or "")
    # urlsplit lowers the host's letters, and a folder's name may have large ones.
    if "%2f" in (parts.hostname or "").lower():
        host = unquote(parts.netloc.rpartition("@")[2])
        return f"{host}/.s.PGSQL.{parts.port or 5432}"
    return (host, parts.port or 5432)
