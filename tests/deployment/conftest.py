"""Two web processes that trust the proxy before them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BEAT_SECONDS = 5  # the least that the setting takes


@pytest.fixture(scope="session")
def upstreams(django_db_setup: Any, django_db_blocker: Any) -> Iterator[list[int]]:
    """Serve the site with two processes for the whole run; return their ports."""
    from tests.engine import Engine

    engine = Engine()
    env = {
        "HEADWAY_TRUSTED_PROXIES": "127.0.0.1",
        "HEADWAY_WS_HEARTBEAT_SECONDS": str(BEAT_SECONDS),
    }
    with django_db_blocker.unblock():
        ports = [engine.web(**env)[1] for _ in range(2)]
    yield ports
    engine.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that a proxy's worker may enter, whoever it runs as."""
    with tempfile.TemporaryDirectory(prefix="hw-proxy-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
