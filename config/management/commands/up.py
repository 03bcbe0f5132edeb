"""Run everything in one terminal: database, Valkey, web, workers, keeper."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command, get_commands
from django.core.management.base import CommandError
from django.db import connection

from config import children, embedded, links, places
from config.plain import PORT, PlainCommand, whole_number
from config.supervisor import AlreadyRunning, Output, Program, Supervisor
from ingestion import schema

FIRST_USER = "admin"
# Commands that bring something to look at.
SAMPLES = (("sample",), ("companies", "sample"), ("lifelogs", "sample"))
MAX_WORKERS = 64
READY_TIMEOUT = 1.0  # seconds for one look at /readyz


class Command(PlainCommand):
    """Start an instance and keep it running."""

    help = "Run everything in one terminal; Ctrl-C stops it all and keeps the data."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what scripts rely on. --data is taken by manage.py, for every command."""
        parser.add_argument("--port", type=PORT, default=8000, help="default 8000; 0 chooses a free one")
        parser.add_argument("--data", help="folder of the instance; default .headway or HEADWAY_DATA")
        workers = whole_number(1, MAX_WORKERS)
        parser.add_argument(
            "--workers", type=workers, default=2, help="workers of the default queue; default 2"
        )
        parser.add_argument("--no-sample", action="store_true", help="do not load the sample on a first run")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGINT or SIGTERM."""
        port = _free_port(options["port"])
        output = Output()
        try:
            places.prepare(settings.PLACE)
            supervisor = Supervisor(settings.DATA_DIR, output)
        except (places.ServiceError, AlreadyRunning) as error:
            raise CommandError(str(error)) from error
        try:
            _Instance(
                supervisor,
                port,
                options["workers"],
                sample=not options["no_sample"] and not settings.PRODUCTION,
            ).run()
        except places.ServiceError as error:
            raise CommandError(str(error)) from error
        finally:
            supervisor.say("stopping")
            supervisor.stop()
            output.flush()


class _Instance:
    """One run of `up`."""

    def __init__(self, supervisor: Supervisor, port: int, workers: int, *, sample: bool) -> None:
        self.supervisor = supervisor
        self.port = port
        self.workers = workers
        self.sample = sample
        self.first_run = False
        self.ready = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self) -> None:
        """Start in order, then look after everything."""
        self._start_services()
        if self.supervisor.stopping:
            return
        for name in settings.UNKNOWN_SETTINGS:
            self.supervisor.say(f"{name} is not a setting of Headway; see docs/settings.md.")
        if schema.missing():  # the command itself takes a second to find that there is nothing to do
            call_command("migrate", verbosity=0, interactive=False)
        self.first_run = _make_first_user()
        connection.close()
        (settings.DATA_DIR / "address").write_text(self.address)
        self._add("web", "web", "serve", "--port", str(self.port))
        for number in range(1, self.workers + 1):
            self._add(f"worker-{number}", "worker", "worker", "--queue", "default")
        for queue in settings.QUEUES[1:]:
            self._add(queue, "worker", "worker", "--queue", queue)
        self._add("keeper", "keeper", "keeper")
        self.supervisor.run(self._announce)

    def _start_services(self) -> None:
        place = settings.PLACE
        if settings.EMBEDDED_POSTGRES:
            embedded.await_orphan(place)
            self.supervisor.add(
                Program(
                    "postgres",
                    "postgres",
                    lambda: embedded.start_postgres(place, output=subprocess.PIPE),
                    lambda child: embedded.wait_for_postgres(place, child),
                    signal.SIGINT,
                )
            )
        if settings.EMBEDDED_REDIS:
            self.supervisor.add(
                Program(
                    "valkey",
                    "valkey",
                    lambda: embedded.start_valkey(place, output=subprocess.PIPE),
                    lambda child: embedded.wait_for_valkey(place, child),
                )
            )

    def _add(self, name: str, role: str, *command: str) -> None:
        self.supervisor.add(Program(name, role, self._starter(role, *command)))

    def _starter(self, role: str, *command: str) -> Callable[[], subprocess.Popen[bytes]]:
        return lambda: children.start(_manage(*command), env=self._env(role), output=subprocess.PIPE)

    def _announce(self) -> None:
        """Print the address once, when everything serves; then bring the sample."""
        if self.ready or not _is_ready(self.port):
            return
        self.ready = True
        output = self.supervisor.output
        output.line(f"ready {self.address}", stdout=True)
        user = User.objects.filter(username=FIRST_USER, last_login=None, is_active=True).first()
        if user is not None and not user.has_usable_password():
            link = links.make(user, self.address)
            output.line(f"sign in as {FIRST_USER}, once, with {link}", stdout=True)
        connection.close()
        for words in SAMPLES if self.first_run and self.sample else ():
            if words[0] in get_commands():
                self.supervisor.once(" ".join(words), _manage(*words), self._env(""))

    def _env(self, role: str) -> dict[str, str]:
        named = {"HEADWAY_SITE_URL": self.address, **os.environ}  # where links lead
        return named | {"HEADWAY_DATA": str(settings.DATA_DIR), "HEADWAY_ROLE": role, "PYTHONUNBUFFERED": "1"}


def _manage(*command: str) -> list[str | Path]:
    return [sys.executable, settings.BASE_DIR / "manage.py", *command]


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise CommandError(f"Port {port} cannot be used; choose another with --port.") from error
        return int(probe.getsockname()[1])


def _make_first_user() -> bool:
    """Make the first user, who signs in by link. Return whether there was none."""
    if User.objects.exists():
        return False
    User.objects.create_superuser(FIRST_USER)
    return True


def _is_ready(port: int) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_TIMEOUT)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()
