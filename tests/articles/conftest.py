"""Topics made easy for tests. Ours is imported inside: settings are not named yet here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from ingestion.sources.articles.fetching import Fetcher
    from ingestion.sources.articles.models import Topic
    from tests.articles.web import Site


@pytest.fixture
def topic(alice: "User") -> "Topic":
    """A topic of alice."""
    from ingestion.sources.articles import topics

    values = {
        "name": "River ferries",
        "description": "Ferries that cross rivers, and what becomes of them",
        "keywords": ["ferry", "river crossing"],
    }
    return topics.make(alice, values)


@pytest.fixture
def web(client: Client, alice: "User") -> Client:
    """A browser of alice."""
    client.force_login(alice)
    return client


@pytest.fixture
def site(settings: Any) -> Iterator["Site"]:
    """A site on a loopback address that may be fetched from."""
    from tests.articles.web import Site

    settings.FETCH_ALLOW, settings.ARTICLES_PER_SECOND = ["127.0.0.1"], 100
    one = Site()
    yield one
    one.stop()


@pytest.fixture
def canary() -> Iterator["Site"]:
    """A server inside that must see nothing: reached by another name than `site`."""
    from tests.articles.web import Site

    one = Site()
    yield one
    one.stop()


@pytest.fixture
def fetcher(alice: "User", topic: "Topic") -> Iterator["Fetcher"]:
    """What fetches for a running job."""
    from uuid import uuid4

    from ingestion import lifecycle
    from ingestion.run import Run
    from ingestion.source import get
    from ingestion.sources.articles.fetching import Fetcher

    job = lifecycle.create("bulk_analysis", {}, owner=alice).job
    token = uuid4()
    started = lifecycle.start(job.pk, worker="inline", token=token)
    assert started is not None
    with Fetcher(Run(started, get("bulk_analysis"), token)) as one:
        yield one
