"""The stand-in SEC, and asking it."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tenacity import wait_none

if TYPE_CHECKING:
    from tests.companies.standin import Standin


class Job:
    """What the client needs of a Run outside of a job."""

    def __init__(self) -> None:
        self.message = ""
        self.lines: list[str] = []
        self.naps: list[float] = []

    def log(self, message: str, level: str = "", **data: object) -> None:
        self.lines.append(message)

    def checkpoint(self) -> None:
        return

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        time.sleep(min(seconds, 0.05))


@pytest.fixture
def sec(settings: Any, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Standin]":
    """A stand-in that the source asks instead of the SEC, as often as it likes."""
    from ingestion.sources.companies import client
    from tests.companies.standin import Standin

    standin = Standin()
    settings.SEC_WWW_URL = settings.SEC_DATA_URL = standin.url
    settings.SEC_CONTACT = "Example Org admin@example.org"
    settings.SEC_PER_SECOND = 1000
    monkeypatch.setattr(client, "_backoff", wait_none())
    yield standin
    standin.stop()


@pytest.fixture
def job() -> Job:
    """Somebody who asks."""
    return Job()
