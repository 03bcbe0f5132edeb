"""Who answered in the last day: told by who looks, once a minute, and read by half hour."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from ingestion import last_day, queues, retention, sightings
from ingestion.models import Sighting
from ingestion.processes import Beat
from ingestion.sightings import LOOK_SECONDS, Lookout
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ALL_WELL = {("web", True), ("database", True)}


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        yield
    connection.close()


def told() -> set[tuple[str, bool]]:
    """Return what is told, but of Redis: it has 0.3 s to answer, whatever else the machine does."""
    return set(Sighting.objects.exclude(component="redis").values_list("component", "answered"))


def tell(component: str, *ago: int, answered: bool = True) -> None:
    """Have a component seen so many minutes ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO ingestion_sighting
            SELECT date_trunc('minute', now()) - m * interval '1 minute', %s, %s FROM unnest(%s::int[]) AS m
            """,
            [component, answered, list(ago)],
        )


def seen(component: str) -> tuple[int, int]:
    """Return the minutes of the last day in which a component answered, and in which it did not."""
    tally = last_day.count().seen.get(component, last_day.Tally())
    return sum(tally.good.values()), sum(tally.bad.values())


def writes_nothing(lookout: Lookout) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        lookout.look()
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NULL")
        return bool(cursor.fetchone()[0])


def test_what_was_told_of_a_minute_is_not_written_again() -> None:
    lookout = Lookout("web")
    lookout.look()
    assert told() == ALL_WELL
    until(lambda: writes_nothing(lookout), what="a second look within a minute")  # one may just have begun
    assert told() == ALL_WELL


def test_many_that_look_at_once_tell_it_once() -> None:
    def look() -> None:
        lookout = Lookout("web")
        try:
            for _ in range(10):
                lookout.look()
        finally:
            connection.close()

    threads = [Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told() == ALL_WELL  # a deadlock would be a database that did not answer


@pytest.mark.parametrize(("role", "missed"), [("keeper", 10), ("web", 0)])  # the pool of requests may be full
def test_what_was_seen_without_a_database_is_told_when_it_is_back(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, role: str, missed: int
) -> None:
    well = {(role, True), ("database", True)}
    lookout = Lookout(role, clock)
    lookout.look()
    with no_database(monkeypatch):
        for _ in range(10):
            clock.now += 60
            lookout.look()
    assert told() == well
    clock.now += 60
    lookout.look()
    assert told() == well | ({("database", False)} if missed else set())
    away = Sighting.objects.filter(component="database", answered=False)
    assert away.count() == missed  # the minutes before this one
    assert Sighting.objects.filter(component=role).count() >= 11  # this process was there all the time
    assert not lookout._untold


def test_a_keeper_tells_that_its_beat_did_not_reach_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    beat = Beat("a keeper", "keeper")
    worker = Beat("a worker", "worker")
    with no_database(monkeypatch):
        for one in (beat, worker):
            with pytest.raises(OperationalError):
                one.once()
    beat.once()  # it is not due
    assert told() == set()
    assert beat._lookout is not None and worker._lookout is None
    beat._lookout._due = 0.0
    beat.once()
    assert told() == {("keeper", True), ("database", False), ("database", True)}


def test_a_day_of_it_is_kept_in_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "MOST_KEPT", 3)
    lookout = Lookout("keeper", clock)
    with no_database(monkeypatch):
        for _ in range(5):
            clock.now += 60
            lookout.look()
    lookout.look()
    assert Sighting.objects.filter(component="database", answered=False).count() == 3


def test_a_database_that_was_not_migrated_yet_is_not_away() -> None:
    lookout = Lookout("web")
    connection.cursor().execute("ALTER TABLE ingestion_sighting RENAME TO later")
    try:
        lookout.look()
    finally:
        connection.cursor().execute("ALTER TABLE later RENAME TO ingestion_sighting")
    lookout.look()
    assert told() == ALL_WELL


def test_redis_away_is_seen(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    monkeypatch.setattr(queues, "_quick", None)
    Lookout("keeper").look()
    assert told() == {("keeper", True), ("database", True)}
    assert [one.answered for one in Sighting.objects.filter(component="redis")] == [False]


def test_an_event_loop_looks_four_times_a_minute_and_never_twice_at_once(clock: Clock) -> None:
    lookout = Lookout("web", clock)
    begun = set()
    for _ in range(600):  # a minute of ticks
        lookout.look_aside()
        thread = lookout._thread
        assert thread is not None
        begun.add(thread)
        thread.join()
        clock.now += 0.1
    assert len(begun) == 60 / LOOK_SECONDS
    assert told() == ALL_WELL


def test_who_did_not_tell_while_others_did_was_away() -> None:
    tell("keeper", *range(5, 60))
    tell("web", *range(10, 20), *range(40, 60))
    assert seen("keeper") == (55, 0)
    assert seen("web") == (30, 25)
    tell("keeper", *range(100, 120))  # before a web process of ours was seen
    assert seen("web") == (30, 25)
    assert seen("keeper") == (75, 0)
    tell("web", 0)  # of now the keeper may still tell
    assert seen("keeper") == (75, 0)


def test_where_nobody_looked_nothing_is_known() -> None:
    assert last_day.count().seen == {}
    tell("redis", 65, 66, 67)
    tell("redis", 66, 125, answered=False)
    tell("redis", 60 * 25)
    tally = last_day.count().seen["redis"]
    assert tally.blocks()[-5:] == ["down", "unknown", "degraded", "unknown", "unknown"]
    assert set(tally.blocks()[:-5]) == {"unknown"}
    assert tally.share() == 60


def test_they_are_kept_for_two_days() -> None:
    tell("web", 60, 60 * 47, 60 * 49, 60 * 50)
    assert retention.prune()["sightings"] == 2
    assert Sighting.objects.count() == 2
