"""Who does not read costs little memory and holds nobody back; who reads is told no more than is of use."""

import time

import pytest
from django.contrib.auth.models import User

from ingestion.models import Job, JobItem
from realtime import limits
from realtime.limits import Close
from tests.crowd import Crowd, all_right, everywhere, percentile
from tests.faults.conftest import FULL, pass_time, within
from tests.faults.movement import moving
from tests.realtime.rows import finish, make_job, move
from tests.site import Site, resident
from tests.viewers import Viewer
from tests.waiting import until

STALLED = 20 if FULL else 8
HEAVY_JOBS = 3
FLOOD = 60 if FULL else 25  # changes of about 20 KB, of each of those jobs


def heavy_job(owner: User) -> Job:
    """Make a job that says much: 60 items with long labels."""
    job = make_job(owner, items_total=60)
    JobItem.objects.bulk_create(
        JobItem(job=job, step="fill", key=f"k{n}", ordinal=n, label="x" * 290) for n in range(60)
    )
    return job


def relabel(job: Job, number: int) -> int:
    """Change all of what it says; return the version."""
    JobItem.objects.filter(job=job).update(label=f"{number:05}" + "x" * 285)
    return move(job, urgent=True, message=f"No. {number}")


def delays(readers: list[Viewer], job: Job, numbers: range, patience: float) -> list[float]:
    """Change a job again and again; return how long each change took to each reader."""
    took = []
    for number in numbers:
        began = time.monotonic()
        version = relabel(job, number)
        for reader in readers:
            until(lambda r=reader, v=version: r.at(job.stream, v), patience, "delivery to who reads")
            took.append((reader.at(job.stream, version) or 0) - began)
    return took


def stall(site: Site, crowd: Crowd, owner: User, *, patience: float) -> tuple[float, float, list[Viewer]]:
    """Flood clients that do not read beside some that do. Return the readers' p99 before and during it."""
    jobs = [heavy_job(owner) for _ in range(HEAVY_JOBS)]
    streams = [job.stream for job in jobs]
    staff = User.objects.create_superuser("staff")
    readers = crowd.add(owner, *streams, number=3, ack=True)
    before = percentile(delays(readers, jobs[0], range(15), patience), 99)
    # Half of them promise to acknowledge and do not; of the others the server knows only that nobody reads.
    few = {"number": STALLED // 2, "receive_bytes": 4096}
    stalled = [v for ack in (True, False) for v in crowd.add(staff, *streams, ack=ack, **few)]
    for viewer in stalled:
        viewer.deaf = True
    memory = resident(site.process.pid)
    for number in range(FLOOD):
        for job in jobs:
            version = relabel(job, 1000 + number)
        until(lambda v=version: readers[0].at(jobs[-1].stream, v), patience, "delivery to who reads")
    during = percentile(delays(readers, jobs[0], range(2000, 2015), patience), 99)
    assert resident(site.process.pid) - memory <= STALLED * 1024**2, "memory of stalled readers"
    all_right(readers, within(2))
    return before, during, stalled


def test_who_does_not_read_holds_nobody_back_and_is_closed(site: Site, crowd: Crowd, owner: User) -> None:
    """P15, P16, X28, F13."""
    crowd.address = site.direct  # a proxy would read for them
    before, during, stalled = stall(site, crowd, owner, patience=within(5))
    assert during <= within(0.5)  # P15
    if FULL:
        assert during <= max(2 * before, 0.15)
    promised = [viewer for viewer in stalled if viewer.ack]
    if FULL:
        pass_time(limits.PARKED_SECONDS)
    with site.without(*([] if FULL else ["patience"])):
        pass_time(3)  # looked for every second
        for viewer in promised:
            viewer.deaf = False
        for viewer in promised:
            until(lambda v=viewer: Close.SLOW in v.closes, within(5), f"the close of {viewer}")  # P16
    for viewer in promised:
        first = [one for one in viewer.told if one.connection == 1]
        bound = limits.CREDIT_BYTES + 2 * limits.MESSAGE_BYTES + limits.PENDING_BYTES
        assert sum(len(str(one.frame)) for one in first) <= bound, "more than its credit"
    for viewer in stalled:
        viewer.deaf = False
    all_right(stalled, within(10))


def test_without_a_time_of_its_own_each_stalled_client_holds_everybody_back(
    site: Site, crowd: Crowd, owner: User
) -> None:
    crowd.address = site.direct
    with site.without("own_time"), pytest.raises(AssertionError, match="delivery to who reads"):
        stall(site, crowd, owner, patience=2)


def overdraw(site: Site, crowd: Crowd, owner: User) -> None:
    """Tell a client that reads, but never acknowledges as it promised, more than its credit holds."""
    job = heavy_job(owner)
    reader, silent = (crowd.add(owner, job.stream, ack=True, keeps_word=word)[0] for word in (True, False))
    for number in range(2 * limits.CREDIT_BYTES // 20_000):
        version = relabel(job, number)
        until(lambda v=version: reader.at(job.stream, v), within(5), "delivery to who acknowledges")
    told = sum(len(str(one.frame)) for one in list(silent.told) if one.connection == 1)
    assert told <= limits.CREDIT_BYTES + limits.MESSAGE_BYTES, "more than its credit"  # P16
    with site.without("patience"):
        until(lambda: Close.SLOW in silent.closes, within(10), f"the close of {silent}")  # P16


def test_who_never_acknowledges_is_told_its_credit_and_closed(site: Site, crowd: Crowd, owner: User) -> None:
    overdraw(site, crowd, owner)


def test_without_credit_it_is_told_everything(site: Site, crowd: Crowd, owner: User) -> None:
    with site.without("credit"), pytest.raises(AssertionError, match="more than its credit"):
        overdraw(site, crowd, owner)


def most_in_a_second(viewer: Viewer, stream: str) -> int:
    """Return the most changes of a stream that came within a second."""
    times = [one.at for one in viewer.frames("change", stream)]
    return max((sum(other - 1 < at <= other for at in times) for other in times), default=0)


def test_progress_is_told_five_times_a_second_and_the_end_always(
    site: Site, crowd: Crowd, owner: User
) -> None:
    job = make_job(owner, items_total=1_000_000)
    viewers = everywhere(crowd, owner, job.stream)
    version = move(job, message="first")
    with moving(job, pause=0.001, quietly=True):
        pass_time(10 if FULL else 3)
    finish(job)
    for viewer in viewers:
        until(lambda v=viewer: v.held(job.stream).over, 10, "the end")
        assert viewer.at(job.stream, version)
        # One more than five: a frame may be held up on its way and meet the next.
        assert 3 <= most_in_a_second(viewer, job.stream) <= 6, viewer  # P17


def test_without_the_pace_it_is_told_more_often(site: Site, crowd: Crowd, owner: User) -> None:
    job = make_job(owner, items_total=1_000_000)
    with site.without("pace"):
        (viewer,) = crowd.add(owner, job.stream)
        with moving(job, pause=0.001, quietly=True):
            until(lambda: most_in_a_second(viewer, job.stream) > 6, 20, "too many frames")


def test_a_burst_loses_nothing_and_ends(site: Site, crowd: Crowd, owner: User) -> None:
    """F2: a channel layer drops the newest messages of a burst of 250, the end among them, silently."""
    job = make_job(owner)
    users = [owner, User.objects.create_superuser("staff"), User.objects.create_superuser("chief")]
    viewers = [viewer for user in users for viewer in crowd.add(user, job.stream, number=17 if FULL else 5)]
    for _ in range(250):
        move(job, event="log")
    finish(job)
    for viewer in viewers:
        until(lambda v=viewer: v.held(job.stream).over, within(5), "the end")
    all_right(viewers, within(2))
    assert {len(viewer.held(job.stream).events) for viewer in viewers} == {251}
