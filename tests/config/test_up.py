"""`up` as a person and a script meet it: real processes, one at a time."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest

from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 240  # a hang guard; the figure itself is measured on a quiet machine
STOP_SECONDS = 15
# One xdist worker runs them all: two instances at once would only slow each other down.
pytestmark = pytest.mark.xdist_group("up")


def environment() -> dict[str, str]:
    left_out = ("HEADWAY_", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


class Instance:
    """An instance started by `up`, and what it printed."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        command = [sys.executable, "manage.py", "up", "--port", "0", "--data", str(data), "--workers", "1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def line(self) -> str:
        """Return the next line of its stdout."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.log.read_text()[-3000:]
        return line

    def address(self) -> str:
        """Wait for the ready line; return the address in it."""
        found = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)", self.line())
        assert found
        return found[1]

    def processes(self) -> list[dict[str, str | int]]:
        return json.loads((self.data / "processes.json").read_text())

    def pid(self, name: str) -> int:
        return int(next(process["pid"] for process in self.processes() if process["name"] == name))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same instance."""
        full = [sys.executable, "manage.py", *command, "--data", str(self.data)]
        return subprocess.run(full, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def up():
    folder = Path(tempfile.mkdtemp(prefix="headway-up-", dir="/tmp"))
    folder.chmod(0o711)
    started: list[Instance] = []

    def start(*arguments: str) -> Instance:
        instance = Instance(folder / "data", "--no-sample", *arguments)
        started.append(instance)
        return instance

    yield start
    for instance in started:
        if instance.process.poll() is None:
            instance.process.terminate()
        try:
            instance.process.wait(30)
        except subprocess.TimeoutExpired:
            instance.process.kill()
        instance.process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.seed("S0.7", "S0.14")
def test_an_instance_from_first_start_to_its_end(up):
    instance = up()
    address = instance.address()

    # Everything is there, and says who it is.
    roles = {process["role"] for process in instance.processes()}
    assert roles == {"web", "worker", "keeper", "postgres", "valkey"}
    assert urlopen(f"{address}/healthz").status == 200
    assert httpx.get(f"{address}/readyz").json()["ready"] is True
    assert "server" not in httpx.get(f"{address}/healthz").headers

    # The printed link signs in once, with a button.
    link = re.fullmatch(r"sign in as admin, once, with (\S+)", instance.line())[1]
    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(link)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        assert browser.post(link, data={"csrfmiddlewaretoken": token}).status_code == 200
        assert browser.get(f"{address}/").url.path == "/"
        assert "no-store" in browser.get(f"{address}/").headers["cache-control"]
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(link).status_code == 404

    # Other commands find the instance; a second `up` does not start.
    assert instance.run("user", "create", "maya", "--password", "secret").stdout == "Created maya.\n"
    assert instance.run("user", "create", "maya").returncode == 1
    days = instance.run("lifelogs", "days", "--user", "maya")  # its tables are there without a word
    assert "There is no such account." in days.stderr
    assert instance.run("user", "link", "maya").stdout.startswith(f"{address}/signin/link/")
    probed = instance.run("ingest", "probe", "changes=1", "--user", "admin", "--watch")
    assert probed.returncode == 0, probed.stderr  # its own processes know where it serves
    second = instance.run("up", "--port", "0")
    assert second.returncode == 1 and "already runs" in second.stderr and "Traceback" not in second.stderr

    # A process that falls is started again.
    before = instance.pid("keeper")
    os.kill(before, signal.SIGKILL)
    until(
        lambda: (
            (instance.data / "processes.json").exists()
            and any(p["name"] == "keeper" and p["pid"] != before for p in instance.processes())
        ),
        what="a new keeper",
    )

    # It ends as asked, all of it.
    pids = [int(process["pid"]) for process in instance.processes()]
    began = time.monotonic()
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(STOP_SECONDS) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert not [pid for pid in pids if is_alive(pid)]

    # And says so to those who still ask.
    asked = instance.run("user", "link", "maya")
    assert (asked.returncode, asked.stderr.count("\n")) == (1, 1)
    assert "Headway is not running" in asked.stderr


def test_nothing_survives_a_killed_supervisor_and_the_data_does(up):
    instance = up()
    instance.address()
    assert instance.run("user", "create", "maya", "--superuser").returncode == 0
    pids = [int(process["pid"]) for process in instance.processes()]

    instance.process.kill()

    until(lambda: not [pid for pid in pids if is_alive(pid)], seconds=15, what="the end of all processes")
    again = up()
    again.address()
    assert again.run("user", "link", "maya").returncode == 0


def test_a_port_in_use_is_said_before_anything_starts(up, tmp_path):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        command = [sys.executable, "manage.py", "up", "--port", str(other.getsockname()[1])]
        done = subprocess.run(
            [*command, "--data", str(tmp_path / "data")],
            cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1 and "choose another with --port" in done.stderr
