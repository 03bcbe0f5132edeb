"""The stand-in SEC, and asking it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tenacity import wait_none

if TYPE_CHECKING:
    from tests.asking import Job
    from tests.companies.standin import Standin


@pytest.fixture
def sec(settings: Any, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Standin]":
    """A stand-in that the source asks instead of the SEC, as often as it likes."""
    from ingestion import outside_retries
    from tests.companies.standin import Standin

    standin = Standin()
    settings.SEC_WWW_URL = settings.SEC_DATA_URL = standin.url
    settings.SEC_CONTACT = "Example Org admin@example.org"
    settings.SEC_PER_SECOND = 1000
    monkeypatch.setattr(outside_retries, "_backoff", wait_none())
    yield standin
    standin.stop()


@pytest.fixture
def job() -> "Job":
    """Somebody who asks."""
    from tests.asking import Job

    return Job()
