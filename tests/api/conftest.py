"""Clients of the cast, and jobs to ask about. Ours is imported inside: settings are not named yet here."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import until

if TYPE_CHECKING:
    from ingestion.models import Job
    from tests.api.clients import ApiClient


@pytest.fixture(autouse=True)
def fresh_rates() -> Iterator[None]:
    """Count from zero: Redis outlives the tests, and all of them come from one address."""
    from config import rates

    rates.forget()
    yield
    rates.forget()


@pytest.fixture
def anon(db: Any) -> "ApiClient":
    """Nobody."""
    from tests.api.clients import ApiClient

    return ApiClient()


@pytest.fixture
def as_alice(alice: Any) -> "ApiClient":
    """Alice, the owner."""
    from tests.api.clients import client_of

    return client_of(alice)


@pytest.fixture
def as_bob(bob: Any) -> "ApiClient":
    """Bob, the stranger."""
    from tests.api.clients import client_of

    return client_of(bob)


@pytest.fixture
def as_staff(staff: Any) -> "ApiClient":
    """An operator."""
    from tests.api.clients import client_of

    return client_of(staff)


@pytest.fixture
def program(alice: Any) -> "Callable[..., ApiClient]":
    """Make a client with a token of alice and nothing else."""
    from ingestion import tokens
    from tests.api.clients import ApiClient

    def make(*scopes: str, user: Any = None) -> ApiClient:
        _, token = tokens.create(user or alice, "test", scopes=scopes or tokens.DEFAULT_SCOPES)
        return ApiClient(headers={"Authorization": f"Bearer {token}"})

    return make


@pytest.fixture
def job(alice: Any) -> "Job":
    """A pending job of alice."""
    from ingestion import lifecycle

    return lifecycle.create("shelves", {"name": "hers"}, owner=alice).job


@pytest.fixture
def ended(alice: Any) -> "Job":
    """A cancelled job of alice."""
    from ingestion import lifecycle

    job = lifecycle.create("shelves", {"name": "over"}, owner=alice).job
    return lifecycle.cancel(job, alice)


@pytest.fixture
def live(request: pytest.FixtureRequest, transactional_db: Any, tmp_path: Path) -> Iterator[str]:
    """Serve the test's database in a process of its own, as in production. Yield the address.

    A parameter is further environment of that process.
    """
    from django.conf import settings
    from django.db import connection

    from tests.servers import free_port

    port = free_port()
    database = re.sub(r"/[^/?]*(\?|$)", rf"/{connection.settings_dict['NAME']}\1", os.environ["DATABASE_URL"])
    environment = (
        os.environ
        | getattr(request, "param", {})
        | {
            "DATABASE_URL": database,
            "REDIS_URL": settings.REDIS_URL,
            "HEADWAY_DATA": str(tmp_path),
            "HEADWAY_RATE_READS_PER_MINUTE": "1000000",
            "HEADWAY_RATE_WRITES_PER_MINUTE": "1000000",
            "HEADWAY_RATE_UNSIGNED_PER_MINUTE": "1000000",
            "HEADWAY_MAX_QUEUED_PER_USER": "100000",
            "HEADWAY_MAX_WAIT_SECONDS": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
    )
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "config.asgi:application",
        "--port",
        str(port),
        "--lifespan",
        "off",
    ]
    with (tmp_path / "web.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(lambda: _answers(port, server), 40, "the web process")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(port: int, server: "subprocess.Popen[bytes]") -> bool:
    assert server.poll() is None, "the web process ended"
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
