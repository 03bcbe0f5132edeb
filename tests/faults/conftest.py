"""Processes for the fault tests, and how many rounds each fault gets."""

import os
import threading
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

from tests.measured import Promised, measured

if TYPE_CHECKING:  # models cannot be imported before the settings are named
    from django.contrib.auth.models import User

    from tests.crowd import Crowd
    from tests.engine import Engine
    from tests.site import Site

FULL = os.environ.get("HEADWAY_FAULTS") == "full"  # `./run test --faults`
ROUNDS = int(os.environ.get("HEADWAY_FAULT_ROUNDS", "30" if FULL else "1"))
# The web servers that the live tests run on; without a word only ours does.
SERVERS = os.environ.get("HEADWAY_TEST_SERVERS", "uvicorn daphne" if FULL else "").split()

# With all rounds the longest begin first, so that none is left alone at the end. Longest first.
LONGEST = (
    "test_everything_breaks_again_and_again_and_nothing_is_lost",
    "test_a_frozen_worker_changes_nothing_after_its_lease",
    "test_a_killed_keeper_is_replaced_and_nothing_was_forgotten",
    "test_a_killed_worker_takes_its_horse_along_and_the_job_goes_on",
    "test_a_move_that_breaks_anywhere_is_told_once_or_did_not_happen",
    "test_thousands_of_pages_end_with_exact_counts_however_often_their_worker_dies",
    "test_a_backfill_whose_workers_are_killed_brings_each_day_once",
)


def within(seconds: float) -> float:
    """Return a promised time where times are asserted, four times it where it only guards against hanging."""
    return Promised(seconds if FULL else 4 * seconds)


def rounds(number: int) -> Iterator[int]:
    """Yield the numbers of a fault's rounds, and count those that were begun."""
    for n in range(number):
        measured.rounds += 1
        yield n


def pass_time(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and begin with the longest where all rounds are run."""
    for item in items:
        if "tests/faults" in str(item.path):
            item.add_marker(pytest.mark.faults)
    if FULL:
        items[:] = longest_first(items)


def longest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return tests with the longest first, each followed by a short one.

    A process of pytest-xdist always holds two tests: what it holds beside a long one waits for its end.
    """
    long = sorted((one for one in items if one.name in LONGEST), key=lambda one: LONGEST.index(one.name))
    short = [one for one in items if one.name not in LONGEST]
    first = [one for pair in zip_longest(long, short[: len(long)]) for one in pair if one is not None]
    return first + short[len(long) :]


@pytest.fixture
def engine(transactional_db: None) -> Iterator["Engine"]:
    """An engine whose processes end with the test."""
    from ingestion import queues
    from tests.engine import Engine

    queues._client().flushdb()
    queues._skip_until = 0.0
    engine = Engine()
    yield engine
    engine.stop()


@pytest.fixture
def owner(transactional_db: None) -> "User":
    """Whose jobs they are."""
    from django.contrib.auth.models import User

    return User.objects.create_user("alice")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module with `EVERY_SERVER` under daphne too, where there is time for it."""
    if SERVERS and "_one_site" in metafunc.fixturenames and getattr(metafunc.module, "EVERY_SERVER", False):
        metafunc.parametrize("_one_site", SERVERS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def _one_site(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator["Site"]:
    from tests.site import Site

    site = Site(getattr(request, "param", "uvicorn"))
    yield site
    site.close()


@pytest.fixture
def site(_one_site: "Site", transactional_db: None) -> "Site":
    """A web process with a proxy at every joint, whole again whatever the test before did to it."""
    _one_site.heal()
    return _one_site


@pytest.fixture
def crowd(site: "Site") -> Iterator["Crowd"]:
    """Viewers of the site."""
    from tests.crowd import Crowd

    crowd = Crowd(site.front.address)
    yield crowd
    crowd.close()
