"""The layout of docs/install.md on hosts of their own: each process has a network, an address and one cable.

That every process is replaced while people work is in tests/faults/test_layout.py.
"""

import http.client
import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle, queues
from ingestion.models import Job, State
from tests import netns
from tests.behind import NGINX, block, nginx
from tests.engine import Engine, effects_once, ended, fresh, keys
from tests.faults.test_layout import KEEPERS, WORKERS, Client
from tests.netns import Network
from tests.servers import free_port
from tests.waiting import until

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")

PORT = 8000  # of each web process: every host has one of its own
LONG = 5000  # items of a job that does not end: all workers have one in hand at once
SHORT = 20


@pytest.fixture
def host() -> Iterator[Callable[[], Network]]:
    """Give another host each time; skips, and says so, where the machine allows none."""
    database = (urlsplit(os.environ["DATABASE_URL"]).hostname or "").lower()
    if not (database.startswith("%2f") and os.environ["REDIS_URL"].startswith("unix:")):
        pytest.skip("database and Redis are not reached over sockets, which all hosts here have in common")
    with ExitStack() as made:
        numbers = iter(range(1, 60))

        def one() -> Network:
            network = made.enter_context(netns.network(next(numbers)))
            if network is None:
                pytest.skip("no network namespaces here (they need root and iproute2)")
            return network

        yield one


@pytest.fixture
def engine(transactional_db: None, host: Callable[[], Network]) -> Iterator[Engine]:
    """An engine whose processes end before their hosts do."""
    queues._client().flushdb()
    engine = Engine()
    yield engine
    engine.stop()


def test_the_layout_works_on_hosts_of_their_own(
    engine: Engine, host: Callable[[], Network], folder: Path, alice: User
) -> None:
    port = free_port()
    webs = [host() for _ in range(2)]
    env = {
        "HEADWAY_PROFILE": "production",
        "HEADWAY_SECRET_KEY": secrets.token_urlsafe(50),
        "HEADWAY_SITE_URL": f"https://localhost:{port}",
        "HEADWAY_ALLOWED_HOSTS": ",".join(["localhost", *(web.address for web in webs)]),
        "HEADWAY_TRUSTED_PROXIES": ",".join(web.ours for web in webs),
        "HEADWAY_METRICS_NETWORKS": ",".join(web.ours for web in webs),
    }

    def on(there: Network) -> Engine:
        engine.within = ["ip", "netns", "exec", there.name]
        return engine

    for web in webs:
        serve = ("serve", "--host", web.address, "--port", str(PORT))
        child = on(web).start(*serve, HEADWAY_ROLE="web", **env)
        until(lambda at=web.address, child=child: serves(engine, child, at), 90, "the web process")
    for _ in range(KEEPERS):
        on(host()).keeper(**env)
    for _ in range(WORKERS):
        on(host()).worker("default", "--allow-root", **env)
    with nginx(folder, block("nginx"), port, [f"{web.address}:{PORT}" for web in webs]):
        client = Client(port, folder / "site.pem", alice)
        long = [start(client, f"l{n}", LONG) for n in range(WORKERS)]
        until(lambda: all(fresh(job).state == State.RUNNING for job in long), 90, "all workers at work")
        assert len({job.attempts.latest("number").worker for job in long}) == WORKERS
        for job in long:
            lifecycle.cancel(job, alice)
            effects_once(ended(job), keys(fresh(job).items_done))
        short = start(client, "s", SHORT)
        effects_once(ended(short), keys(SHORT))
        for _ in webs:  # by turns
            assert json.loads(client.ask("GET", f"/api/jobs/{short.pk}")[1])["state"] == "completed"
    for web in webs:  # as Prometheus does, from the network that is named
        with urlopen(f"http://{web.address}:{PORT}/metrics", timeout=30) as answer:
            told_by = answer.read().decode()
        assert f'headway_processes{{role="keeper",queue=""}} {KEEPERS}' in told_by
        assert f'headway_processes{{role="worker",queue="default"}} {WORKERS}' in told_by


def start(client: Client, name: str, items: int) -> Job:
    """Start a job through the proxy."""
    said = {"source": "shelves", "params": {"name": name, "n": items, "wait": 0.1}}
    status, body = client.ask("POST", "/api/jobs", said)
    assert status == 201, body
    return Job.objects.get(pk=json.loads(body)["id"])


def serves(engine: Engine, child: "subprocess.Popen[bytes]", address: str) -> bool:
    """Say whether a web process serves at an address. Fails with what it wrote when it ended."""
    assert child.poll() is None, engine.log.read_text()
    try:
        with urlopen(f"http://{address}:{PORT}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False
