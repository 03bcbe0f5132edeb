"""Threads that fetch keep their database connections, and lose none of an item's tries by them."""

import threading
from collections import defaultdict

import pytest
from django.contrib.auth.models import User
from django.db import connection

from config.statements import execute
from ingestion import lifecycle
from ingestion.fetchers import Fetchers, fetchers
from tests.ingestion.test_run import running
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def backend(_: object = None) -> int:
    return int(execute("SELECT pg_backend_pid()")[0][0])


def there(*pids: int) -> bool:
    return bool(execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s::int[])", [list(pids)]))


def test_each_thread_has_one_connection_for_all_of_a_step(alice: User) -> None:
    run = running(lifecycle.create("shelves", {}, owner=alice).job)
    pids: dict[str, set[int]] = defaultdict(set)

    def fetch(_: int) -> None:
        pids[threading.current_thread().name].add(backend())

    with run.step("fill") as step:
        for item in step.items(list(range(12)), key=str, fetch=fetch, threads=2):
            with item:
                pass
    assert all(len(one) == 1 for one in pids.values()) and 1 <= len(pids) <= 2
    until(lambda: not there(*set.union(*pids.values())), 10, "the end of their connections")


def test_a_connection_that_was_lost_meanwhile_costs_no_try() -> None:
    with fetchers(backend, 1) as some:
        first = some.submit(0).result(10)
        execute("SELECT pg_terminate_backend(%s)", [first])
        until(lambda: not there(first), 10, "its end")
        assert some.submit(1).result(10) != first


def test_what_a_fetch_leaves_behind_when_it_fails_is_not_there_for_the_next() -> None:
    def fetch(fails: bool) -> bool:
        if fails:
            connection.set_autocommit(False)
            raise ValueError
        return connection.get_autocommit()

    with fetchers(fetch, 1) as some:
        with pytest.raises(ValueError):
            some.submit(True).result(10)
        assert some.submit(False).result(10)


def test_what_has_not_begun_at_the_end_does_not_begin() -> None:
    begun, go = [], threading.Event()

    def fetch(value: int) -> None:
        begun.append(value)
        go.wait(10)

    some = Fetchers(fetch, 1)
    futures = [some.submit(n) for n in range(3)]
    until(lambda: begun, 10, "the first")
    some.end()
    go.set()
    futures[0].result(10)
    some._pool.shutdown(wait=True)
    assert begun == [0]
