"""What every registered source keeps, whoever wrote it: the promise to those who start it (DESIGN 4.5).

A source joins by being registered; its `example` says what it is run with.
"""

import io
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from ingestion import lifecycle, uploads
from ingestion.models import ItemState, Job, State
from ingestion.source import get, registry, upload_fields
from ingestion.testing import Killed, assert_live_equals_fresh, kill_at, lose_worker, resume_inline

pytestmark = pytest.mark.django_db(transaction=True)

POINTS = [
    ("once.before_write", 1),
    ("once.after_write", 1),
    ("items.registered", 1),
    ("item.before_body", 1),
    ("item.before_fence", 2),
    ("item.before_commit", 1),
    ("item.after_commit", 2),
    ("step.before_end", 1),
    ("job.retry.before_commit", 1),
    ("job.waiting.before_commit", 1),
    ("job.completed.before_commit", 1),
]
MOST_ATTEMPTS = 6

OF_A_SITE = {"probe"}  # measures one that is served: tests/faults/test_probe.py
every_source = pytest.mark.parametrize("kind", sorted(set(registry()) - OF_A_SITE))


def start(kind: str, owner: User) -> Job:
    if not get(kind).offered:  # what the system starts by itself, an operator may start too
        owner.is_staff = True
        owner.user_permissions.add(
            Permission.objects.get(content_type__app_label="ingestion", codename="operate")
        )
    params = dict(get(kind).example)
    for name in set(params) & set(upload_fields(get(kind).params)):
        content = io.BytesIO(params[name].encode())
        params[name] = str(uploads.store(owner, f"{kind}.txt", content, source=get(kind)).pk)
    return lifecycle.create(kind, params, owner=owner).job


def to_its_end(job: Job, owner: User) -> Job:
    """Run a job until it has ended, as the engine and a person who says yes would."""
    for _ in range(MOST_ATTEMPTS):
        if job.is_final:
            return job
        if job.state == State.WAITING:
            job = lifecycle.answer(job, "approve", {}, owner)
        Job.objects.filter(pk=job.pk).update(run_after=None)  # as time does
        job = resume_inline(job)
    assert job.is_final, f"{job} is {job.state} after {MOST_ATTEMPTS} attempts"
    return job


def made_of(job: Job) -> tuple[Any, ...]:
    """Return what must be the same however often a job's workers were lost."""
    items = {(step, key): state for step, key, state in job.items.values_list("step", "key", "state")}
    counts = (job.items_total, job.items_done, job.items_failed, job.items_skipped)
    assert counts[0] == len(items) and counts[1] == list(items.values()).count(ItemState.DONE)
    return job.state, counts, items, job.error


@every_source
def test_a_source_that_must_be_told_something_has_an_example(kind: str) -> None:
    source = get(kind)
    needed = {name for name, info in source.params.model_fields.items() if info.is_required()}
    assert needed <= set(source.example), f"say {kind}.example: small params that make a good run"


@every_source
def test_a_good_run_completes(kind: str, alice: User) -> None:
    assert to_its_end(start(kind, alice), alice).state == State.COMPLETED


@every_source
def test_open_pages_show_what_a_page_loaded_anew_does(kind: str, alice: User) -> None:
    job = start(kind, alice)
    with assert_live_equals_fresh(job, f"user:{alice.pk}", "system"):
        job = to_its_end(job, alice)
    assert job.is_final


@every_source
def test_a_run_whose_worker_is_lost_anywhere_ends_as_if_it_were_not(kind: str, alice: User) -> None:
    whole = made_of(to_its_end(start(kind, alice), alice))
    killed = []
    for point, n in POINTS:
        job = start(kind, alice)
        with assert_live_equals_fresh(job):
            with kill_at(point, n):
                try:
                    job = resume_inline(job)
                except Killed:
                    killed.append(point)
                    job = lose_worker(job)
            assert made_of(to_its_end(job, alice)) == whole, (point, n)
    assert killed


@every_source
def test_two_users_make_two_jobs_unless_it_is_shared(kind: str, alice: User, bob: User) -> None:
    both = {start(kind, alice).pk, start(kind, bob).pk}
    assert len(both) == (1 if get(kind).shared else 2)


@every_source
def test_it_can_be_cancelled_before_it_runs_and_while_it_does(
    kind: str, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lifecycle.cancel(start(kind, alice), alice)
    assert (job.state, job.items_done) == (State.CANCELLED, 0)

    running = start(kind, alice)
    begin = lifecycle.start

    def asked_at_once(*args: Any, **kwargs: Any) -> Any:
        started = begin(*args, **kwargs)
        lifecycle.cancel(running, alice)
        return started

    monkeypatch.setattr(lifecycle, "start", asked_at_once)
    job = resume_inline(running)
    # Obeyed at the first item; a run without items may have ended before it heard of it.
    assert job.state == State.CANCELLED or (job.is_final and job.items_total == 0), job.state
    assert job.items_done <= 1
