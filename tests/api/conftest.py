"""Clients of the cast, and jobs to ask about. Ours is imported inside: this file is read before the settings."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

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
