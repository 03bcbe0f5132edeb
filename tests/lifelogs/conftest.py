"""The stand-in for Limitless, and an account at it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tenacity import wait_none

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from ingestion.sources.lifelogs.models import Account
    from tests.lifelogs.service import Server


@pytest.fixture
def service(settings: Any, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Server]":
    """A stand-in that is asked instead of Limitless, as often as one likes."""
    from ingestion import outside_retries
    from ingestion.sources.lifelogs.source import Lifelogs
    from tests.lifelogs.service import Server

    server = Server()
    settings.LIMITLESS_URL = server.url
    settings.LIMITLESS_PER_MINUTE = 60_000
    monkeypatch.setattr(outside_retries, "_backoff", wait_none())
    monkeypatch.setattr(Lifelogs, "item_waits", (0, 0))  # seconds
    yield server
    server.stop()


@pytest.fixture
def account(alice: "User", service: "Server") -> "Account":
    """Alice's account there, in Oslo."""
    from ingestion.sources.lifelogs import accounts
    from tests.lifelogs.service import KEY

    return accounts.add(alice, "limitless", KEY, "Europe/Oslo")
