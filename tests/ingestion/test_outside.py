"""One rate for all workers, one pause for all of them."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from ingestion import outside
from ingestion.models import Pause
from ingestion.outside import OutsideHost
from tests.asking import Job
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_window_of_a_second_holds_more_than_the_rate() -> None:
    name = f"{uuid4()}.test"
    times: list[float] = []

    def ask() -> None:
        host = OutsideHost(name, 8)
        for _ in range(7):
            host.turn(Job())  # type: ignore[arg-type]
            times.append(time.time())
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    # The window is Redis's, the times are ours: a tenth of a second of slack.
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[8:], strict=False))
    assert len(times) == 28


def test_a_pause_holds_everybody_and_says_so() -> None:
    host, job = OutsideHost("sec.test", 1000), Job()
    OutsideHost("sec.test", 1000).pause(600, "sec.test asked us to stop for 10 minutes")
    job.after_naps = lambda: Pause.objects.update(until=Now() - timedelta(seconds=1))
    job.message = "Reading"
    host.turn(job)  # type: ignore[arg-type]
    assert len(job.naps) >= 1
    assert job.messages == ["Reading", "sec.test asked us to stop for 10 minutes", "Reading"]
    assert len(job.lines) == 1


def test_threads_that_are_told_to_wait_together_collide_in_no_statement() -> None:
    host = OutsideHost("sec.test", 1000)
    with CaptureQueriesContext(connection) as asked:
        for seconds in (60, 600, 5):
            host.pause(seconds, f"for {seconds} s")
    written = [one["sql"] for one in asked if 'INTO "ingestion_pause"' in one["sql"]]
    assert len(written) == 3 and all("ON CONFLICT DO NOTHING" in one for one in written)
    assert Pause.objects.get().reason == "for 600 s"


def test_what_a_job_said_before_a_pause_is_said_again_whichever_of_its_threads_waited() -> None:
    host, job = OutsideHost("threads.test", 1000), Job()
    host.pause(600, "threads.test asked us to stop")
    job.message = "Reading"
    waiting: set[int] = set()

    def until_both_wait() -> None:
        waiting.add(threading.get_ident())
        if len(waiting) == 2:
            Pause.objects.update(until=Now() - timedelta(seconds=1))

    job.after_naps = until_both_wait

    def ask() -> None:
        host.turn(job)  # type: ignore[arg-type]
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
        until(lambda: waiting, 10, "the first to wait")
    for thread in threads:
        thread.join(20)
    assert (job.message, len(job.lines)) == ("Reading", 1)


def test_a_pause_that_begins_while_one_waits_for_a_place_holds_too() -> None:
    host, job = OutsideHost("busy.test", 1), Job()
    host.turn(job)  # type: ignore[arg-type]
    job.naps.clear()

    def pause_and_end() -> None:
        if len(job.naps) == 1:
            host.pause(600, "busy.test asked us to stop")
        elif job.message:
            Pause.objects.update(until=Now() - timedelta(seconds=1))

    job.after_naps = pause_and_end
    host.turn(job)  # type: ignore[arg-type]
    assert job.lines == ["busy.test asked us to stop"]


def test_with_redis_away_a_process_asks_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "ALONE_SECONDS", 0.2)
    with override_settings(REDIS_URL="unix:///nowhere/redis.sock"):
        host = OutsideHost("alone.test", 1000)
        began = time.monotonic()
        for _ in range(3):
            host.turn(Job())  # type: ignore[arg-type]
    assert time.monotonic() - began >= 0.4
