"""Two web processes that trust the proxy before them."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.waiting import until

if TYPE_CHECKING:  # models cannot be imported before the settings are read, see tests/conftest.py
    from tests.engine import Engine

BEAT_SECONDS = 5  # the least that the setting takes


@pytest.fixture(scope="session")
def upstreams(django_db_setup: Any, django_db_blocker: Any) -> Iterator[list[int]]:
    """Serve the site with two processes for the whole run; return their ports."""
    from tests.engine import Engine
    from tests.servers import free_port

    engine = Engine()
    ports = [free_port(), free_port()]
    env = {
        "HEADWAY_ROLE": "web",
        "HEADWAY_TRUSTED_PROXIES": "127.0.0.1",
        "HEADWAY_WS_HEARTBEAT_SECONDS": str(BEAT_SECONDS),
    }
    with django_db_blocker.unblock():
        for port in ports:
            engine.start("serve", "--port", str(port), **env)
    for port in ports:
        until(partial(_answers, port, engine), 90, "a web process")
    yield ports
    engine.stop()


def _answers(port: int, engine: "Engine") -> bool:
    assert all(child.poll() is None for child in engine.children), engine.log.read_text()
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that a proxy's worker may enter, whoever it runs as."""
    with tempfile.TemporaryDirectory(prefix="hw-proxy-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
