"""Real workers and keepers as processes of the tests, and the checks that every fault must pass."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from django.db import connection

from config import children
from ingestion.models import Job, Process, State
from tests.demo.models import Effect
from tests.servers import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a process that shares this test's database and Redis."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    url = urlunsplit(parts._replace(path="/" + connection.settings_dict["NAME"]))
    return {**os.environ, "DATABASE_URL": url, **extra}


class Engine:
    """Workers and keepers started by a test, each ended by its process id."""

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        self.within: list[str] = []  # a command that puts what follows elsewhere, in its own place
        self.log = Path(tempfile.mkstemp(prefix="headway-engine-", suffix=".log")[1])

    def start(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a management command."""
        with self.log.open("ab") as log:
            child = children.start(
                [*self.within, sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=environment(**env),
                output=log,
            )
        self.children.append(child)
        return child

    def web(self, *options: str, port: int | None = None, **env: str) -> tuple[subprocess.Popen[bytes], int]:
        """Start a web process, on a free port or this one; return it and its port when it serves."""
        port = port or free_port()
        child = self.start("serve", "--port", str(port), *options, HEADWAY_ROLE="web", **env)
        self.await_web(child, port)
        return child, port

    def daphne(
        self, *options: str, port: int | None = None, **env: str
    ) -> tuple[subprocess.Popen[bytes], int]:
        """Start daphne as a web process; return it and its port when it serves."""
        port = port or free_port()
        command = [sys.executable, "-m", "daphne", "-p", str(port), *options, "config.asgi:application"]
        env = environment(HEADWAY_ROLE="web", DJANGO_SETTINGS_MODULE="config.settings", **env)
        with self.log.open("ab") as log:
            child = children.start(command, cwd=ROOT, env=env, output=log)
        self.children.append(child)
        self.await_web(child, port)
        return child, port

    def await_web(self, child: subprocess.Popen[bytes], port: int) -> None:
        """Return when a process serves at a port of loopback. Fails with what it wrote when it ended."""

        def serves() -> bool:
            assert child.poll() is None, self.log.read_text()
            try:
                with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(serves, 90, "the web process")

    def worker(self, queue: str = "default", *options: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker and return when it has beaten."""
        child = self.start("worker", "--queue", queue, *options, **env)
        until(
            lambda: Process.objects.filter(pid=child.pid, role="worker").exists(),
            40,
            "the worker's first beat",
        )
        return child

    def keeper(self, **env: str) -> subprocess.Popen[bytes]:
        """Start a keeper and return when it has beaten."""
        child = self.start("keeper", **env)
        until(
            lambda: Process.objects.filter(pid=child.pid, role="keeper").exists(),
            40,
            "the keeper's first beat",
        )
        return child

    def kill(self, child: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        """Send a signal to one process; after SIGKILL take its row away, as time would."""
        os.kill(child.pid, number)
        if number == signal.SIGKILL:
            child.wait(10)

    def stop(self) -> None:
        """End everything this test started."""
        for child in self.children:
            if child.poll() is None:
                with_horse = [child.pid, *horses(child.pid)]
                for pid in with_horse:
                    _signal(pid, signal.SIGCONT)
                    _signal(pid, signal.SIGKILL)
            child.wait(10)
        self.log.unlink(missing_ok=True)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def horses(parent: int) -> list[int]:
    """Return the process ids of a worker's work-horses."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
    return found


def horse_of(worker: subprocess.Popen[bytes]) -> int:
    """Return the process id of a worker's only work-horse; a job is said to run a moment before its fork."""
    until(lambda: len(horses(worker.pid)) == 1, 20, f"one work-horse of {worker.pid}")
    (horse,) = horses(worker.pid)
    return horse


def alive(pid: int) -> bool:
    """Say whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def worker_of(job: Job, workers: Iterable[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Return the worker process that runs a job now."""
    name = job.attempts.order_by("number").last().worker
    pid = int(name.rsplit("-", 2)[1])
    return next(worker for worker in workers if worker.pid == pid)


def fresh(job: Job) -> Job:
    """Return the row as it is now."""
    return Job.objects.get(pk=job.pk)


def running(job: Job, items: int = 1, seconds: float = 40) -> Job:
    """Return when the job runs and has done so many items."""
    until(
        lambda: fresh(job).state == State.RUNNING and fresh(job).items_done >= items,
        seconds,
        f"{job} running with {items} items",
    )
    return fresh(job)


def ended(job: Job, seconds: float = 90) -> Job:
    """Return when the job has ended."""
    until(lambda: fresh(job).is_final, seconds, f"the end of {job} ({described(job)})")
    return fresh(job)


def described(job: Job) -> str:
    """Return a job's history in one line, for failures."""
    return "; ".join(f"{event.version} {event.kind}" for event in job.events.order_by("version"))


def effects_once(job: Job, keys: Iterable[str]) -> None:
    """Assert that every item's effect stands exactly once, and the counts are those of the items."""
    seen = list(Effect.objects.filter(job=job.pk).values_list("key", flat=True))
    assert sorted(seen) == sorted(keys), f"effects of {job}: {sorted(seen)}; {described(job)}"
    states = list(job.items.values_list("state", flat=True))
    counted = (states.count("done"), states.count("skipped"), len(states))
    assert counted == (job.items_done, job.items_skipped, job.items_total), f"{counted} of {job}"


def keys(n: int) -> list[str]:
    """Return the keys of a `shelves` job with n items."""
    return [f"k{i:04}" for i in range(n)]


def attempts_overlap(job: Job) -> bool:
    """Say whether two attempts of a job wrote items after the next had begun."""
    rows: list[Any] = list(job.attempts.order_by("number"))
    starts = {row.number: row.started_at for row in rows}
    tokens = list(Effect.objects.filter(job=job.pk).order_by("at").values_list("token", flat=True))
    order = [token for n, token in enumerate(tokens) if n == 0 or tokens[n - 1] != token]
    return len(order) != len(set(order)) or len(order) > len(starts)
