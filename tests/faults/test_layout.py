"""The layout of docs/install.md: two web processes behind nginx, three workers, two keepers, in production.

Every process is replaced as a rolling restart does it, while jobs run and somebody asks all the time.
"""

import http.client
import json
import secrets
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle, tokens
from ingestion.models import Job, Process
from tests.behind import NGINX, block, nginx
from tests.demo.models import Effect
from tests.engine import Engine, described, effects_once, ended, keys, running
from tests.faults.conftest import FULL
from tests.servers import free_port
from tests.waiting import until

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")

WORKERS, KEEPERS = 3, 2
SHORT = [40] * (60 if FULL else 5)  # items of jobs that end
LONG = 5000  # items of one that does not: some worker has it in hand, whichever is replaced
STOP_SECONDS = 30  # what docs/install.md gives a worker


class Client:
    """A program with a token, who asks the site through its proxy."""

    def __init__(self, port: int, certificate: Path, user: User) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=str(certificate))
        token = tokens.create(user, "program", scopes=("read", "write"))[1]
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, said: object = None) -> tuple[int, bytes]:
        link = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=self.context)
        try:
            link.request(method, path, None if said is None else json.dumps(said), self.headers)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    @contextmanager
    def asking(self) -> Iterator[list[int]]:
        """Ask all the time; yield the status of each answer."""
        statuses: list[int] = []
        done = threading.Event()

        def go() -> None:
            while not done.wait(0.05):
                statuses.append(self.ask("GET", "/api/jobs")[0])

        thread = threading.Thread(target=go, name="asking")
        thread.start()
        try:
            yield statuses
        finally:
            done.set()
            thread.join(60)
        assert not thread.is_alive()


def stopped(child: subprocess.Popen[bytes]) -> None:
    """Tell a process to stop and wait until it has."""
    child.send_signal(signal.SIGTERM)
    assert child.wait(STOP_SECONDS) in (0, -signal.SIGTERM)


def test_every_process_is_replaced_while_people_work(engine: Engine, owner: User, tmp_path: Path) -> None:
    port = free_port()
    env = {
        "HEADWAY_PROFILE": "production",
        "HEADWAY_SECRET_KEY": secrets.token_urlsafe(50),
        "HEADWAY_SITE_URL": f"https://localhost:{port}",
        "HEADWAY_ALLOWED_HOSTS": "localhost,127.0.0.1",
        "HEADWAY_TRUSTED_PROXIES": "127.0.0.1",
        "HEADWAY_METRICS_NETWORKS": "127.0.0.1",
    }
    webs = [engine.web(**env) for _ in range(2)]
    keepers = [engine.keeper(**env) for _ in range(KEEPERS)]
    workers = [engine.worker("default", "--allow-root", **env) for _ in range(WORKERS)]
    tmp_path.chmod(0o755)
    with nginx(tmp_path, block("nginx"), port, [port for _, port in webs]):
        client = Client(port, tmp_path / "site.pem", owner)
        jobs = []
        for n, items in enumerate([LONG, *SHORT]):
            said = {"source": "shelves", "params": {"name": f"s{n}", "n": items, "wait": 0.1}}
            status, body = client.ask("POST", "/api/jobs", said)
            assert status == 201, body
            jobs.append(Job.objects.get(pk=json.loads(body)["id"]))
        long, *short = jobs
        running(long)
        with client.asking() as statuses:
            for n, (child, at) in enumerate(webs):
                stopped(child)
                webs[n] = engine.web(port=at, **env)
            for n, child in enumerate(workers):
                workers[n] = engine.worker("default", "--allow-root", **env)
                stopped(child)
            for n, child in enumerate(keepers):
                keepers[n] = engine.keeper(**env)
                stopped(child)
            asked = len(statuses)
            until(lambda: len(statuses) > asked + 5, 30, "answers of the new processes")
        assert set(statuses) == {200}, "somebody was refused"
        for job, items in zip(short, SHORT, strict=True):
            effects_once(ended(job, 120), keys(items))
        lifecycle.cancel(long, owner)
        done = ended(long).items_done
        assert sorted(Effect.objects.filter(job=long.pk).values_list("key", flat=True)) == keys(done)
        outcomes = [set(job.attempts.values_list("outcome", flat=True)) for job in jobs]
        assert "released" in outcomes[0], described(long)
        assert set().union(*outcomes) == {"completed", "released", "cancelled"}, outcomes
        for _, at in webs:
            with urlopen(f"http://127.0.0.1:{at}/metrics", timeout=10) as answer:  # as Prometheus does
                assert f'headway_processes{{role="keeper",queue=""}} {KEEPERS}' in answer.read().decode()
        assert Process.objects.filter(role="keeper").count() == KEEPERS
