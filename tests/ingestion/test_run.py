"""What the author's calls do, attempt after attempt, with the real tables."""

import json
import weakref
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from ingestion import lifecycle
from ingestion.clock import read_clock
from ingestion.interrupts import Cancelled, Fenced
from ingestion.models import Job, State
from ingestion.queues import FENCED_EXIT
from ingestion.reporter import NOTES_PER_WRITE, Reporter
from ingestion.run import Run
from ingestion.settings import SELF_FENCE_SECONDS
from ingestion.source import Outcome, get
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from tests.demo.models import Effect, Shelf
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def effects(job: Job) -> dict[str, int]:
    keys = list(Effect.objects.filter(job=job.pk).values_list("key", flat=True))
    return {key: keys.count(key) for key in keys}


def counts(job: Job) -> dict[str, int]:
    states = list(job.items.values_list("state", flat=True))
    assert len(states) == job.items_total
    assert states.count("done") == job.items_done
    assert states.count("failed") + states.count("quarantined") == job.items_failed
    assert states.count("skipped") == job.items_skipped
    return {state: states.count(state) for state in set(states)}


def test_a_source_of_five_lines_runs(alice: User) -> None:
    job = run_inline("ping", alice)
    assert (job.state, job.message, job.progress) == (State.COMPLETED, "pong", 1.0)


def started(alice: User) -> tuple[Job, Run]:
    job = lifecycle.create("shelves", {"name": "a"}, owner=alice).job
    token = uuid4()
    begun = lifecycle.start(job.pk, worker="w", token=token)
    assert begun is not None
    return job, Run(begun, get("shelves"), token)


def test_what_cannot_be_kept_of_a_text_costs_no_attempt(alice: User) -> None:
    """PostgreSQL takes no zero byte, and nothing half a surrogate pair: outside texts have both."""
    job, run = started(alice)
    run.message = "Reading a\x00b"
    run.log("c\udc80d")
    figures = Reporter(run).stop()
    assert figures.columns["message"] == "Reading a\ufffdb"
    assert lifecycle.try_again(job.pk, run.token, {"code": "x", "text": "E."}, figures, "Traceback f\x00g")
    assert [event.message for event in job.events.filter(kind="log")] == ["c\ufffdd"]
    assert job.attempts.get().traceback == "Traceback f\ufffdg"


def test_no_line_is_lost_however_many_come_just_before_the_end(alice: User) -> None:
    job, run = started(alice)
    for n in range(3 * NOTES_PER_WRITE):
        run.log(f"Line {n}")
    assert lifecycle.finish(job.pk, run.token, Outcome(), Reporter(run).stop())
    assert job.events.filter(kind="log").count() == 3 * NOTES_PER_WRITE


def test_a_reporter_that_breaks_still_ends_what_it_cannot_keep(alice: User) -> None:
    _, run = started(alice)
    ended: list[int] = []
    reporter = Reporter(run, end_process=ended.append)
    run.steps = {"broken": None}  # type: ignore[dict-item]
    reporter.written_at -= SELF_FENCE_SECONDS
    reporter.start()
    until(lambda: FENCED_EXIT in ended, what="the end of its process")
    run.steps = {}
    reporter.stop()


def test_every_item_is_done_once_with_its_result(alice: User) -> None:
    job = run_inline("shelves", alice, n=7, threads=3)

    assert job.state == State.COMPLETED
    assert counts(job) == {"done": 7}
    assert effects(job) == {f"k{i:04}": 1 for i in range(7)}
    assert job.items.get(key="k0003").result == {"fetched": "K0003"}
    assert [step["state"] for step in job.steps.values()] == ["completed"] * 3


def test_one_failing_item_stops_nothing_and_its_effect_is_rolled_back(alice: User) -> None:
    job = run_inline("shelves", alice, n=5, fail=["k0002"])

    assert (job.state, job.items_failed) == (State.PARTIAL, 1)
    assert counts(job) == {"done": 4, "failed": 1}
    assert "k0002" not in effects(job)
    failed = job.items.get(key="k0002")
    assert (failed.error_code, failed.error, failed.tries) == ("broken_box", "Box k0002 is broken.", 1)
    assert job.events.filter(kind="item_failed").count() == 1


@pytest.mark.parametrize(("failing", "state"), [(1, State.PARTIAL), (2, State.FAILED), (3, State.FAILED)])
def test_a_source_says_from_which_share_of_failures_it_failed(
    alice: User, monkeypatch: pytest.MonkeyPatch, failing: int, state: State
) -> None:
    monkeypatch.setattr(get("shelves"), "partial_at", 0.5)
    assert run_inline("shelves", alice, n=4, fail=["k0000", "k0001", "k0002"][:failing]).state == state


def test_the_times_of_items_are_those_of_the_databases_clock(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X38: the clock of their worker is an hour ahead."""
    ahead, before = timezone.now() + timedelta(hours=1), read_clock()
    monkeypatch.setattr(timezone, "now", lambda: ahead)
    job = run_inline("shelves", alice, n=2, fail=["k0001"])
    assert counts(job) == {"done": 1, "failed": 1}
    for item in job.items.all():
        assert before <= item.started_at <= item.finished_at <= read_clock()


def test_a_retryable_failure_is_tried_again_at_the_end_of_the_pass(alice: User) -> None:
    job = run_inline("shelves", alice, n=4, flaky=["k0001"])

    assert job.state == State.COMPLETED
    assert job.items.get(key="k0001").tries == 2
    assert effects(job) == {f"k{i:04}": 1 for i in range(4)}
    assert list(Effect.objects.order_by("pk").values_list("key", flat=True))[-1] == "k0001"


def test_skipped_is_not_failed(alice: User) -> None:
    job = run_inline("shelves", alice, n=3, skip=["k0000"])
    assert (job.state, counts(job)) == (State.COMPLETED, {"done": 2, "skipped": 1})


def test_all_items_failing_fails_the_job_with_the_first_reason(alice: User) -> None:
    job = run_inline("shelves", alice, n=2, fail=["k0000", "k0001"])
    assert job.state == State.FAILED
    assert job.error == {
        "code": "items_failed",
        "text": "2 of 2 items failed. The first: Box k0000 is broken.",
    }


def test_no_items_is_complete(alice: User) -> None:
    assert run_inline("shelves", alice, n=0).state == State.COMPLETED


@pytest.mark.parametrize(
    "point",
    ["item.before_body", "item.before_fence", "item.before_commit", "item.after_commit", "step.before_end"],
)
@pytest.mark.parametrize("n", [1, 3])
def test_after_a_crash_at_any_point_each_item_was_done_exactly_once(alice: User, point: str, n: int) -> None:
    with kill_at(point, min(n, 2) if point == "step.before_end" else n):
        run_inline("shelves", alice, n=4)
    job = lose_worker(Job.objects.get())
    assert job.state == State.PENDING

    job = resume_inline(job)
    assert (job.state, counts(job)) == (State.COMPLETED, {"done": 4})
    assert effects(job) == {f"k{i:04}": 1 for i in range(4)}


def test_an_attempt_after_its_lease_was_taken_writes_nothing(alice: User) -> None:
    with kill_at("item.before_fence", 2):
        run_inline("shelves", alice, n=3)
    job = Job.objects.get()
    stale = Run(job, get("shelves"), job.lease_token)
    stale.attempt = job.attempt
    lose_worker(job)

    with pytest.raises(Fenced), stale.step("look"):
        pass
    assert effects(job) == {"k0000": 1}


def test_once_is_remembered_across_attempts(alice: User) -> None:
    with kill_at("items.registered"):
        run_inline("shelves", alice, n=3)
    Job.objects.update(params={**Job.objects.get().params, "n": 50})
    job = resume_inline(lose_worker(Job.objects.get()))
    assert job.items_total == 3


def test_a_job_remembers_at_most_64_kb(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    run = running(job)
    with pytest.raises(ValueError, match="64 KB"):
        run.once("much", lambda: "x" * 70_000)


def running(job: Job) -> Run:
    from uuid import uuid4

    token = uuid4()
    started = lifecycle.start(job.pk, worker="w", token=token)
    assert started is not None
    return Run(started, get(job.source), token)


def test_the_job_row_is_not_locked_early(alice: User) -> None:
    run = running(lifecycle.create("ping", {}, owner=alice).job)
    with run.step("work") as step:
        for item in step.items(["a"], key=str):
            with item:
                for call in (
                    lambda: run.once("x", dict),
                    lambda: run.about("company:1"),
                    lambda: run.wait_for("review", "?"),
                    lambda: run.step("x").__enter__(),
                ):
                    with pytest.raises(RuntimeError, match="inside an item"):
                        call()
    assert run.interrupt is None


def test_an_item_that_is_left_without_with_raises(alice: User) -> None:
    run = running(lifecycle.create("ping", {}, owner=alice).job)
    with pytest.raises(RuntimeError, match="with item"), run.step("work") as step:
        for _ in step.items(["a", "b"], key=str):
            pass


class Fetched:
    """What can be seen to be gone."""


def test_what_was_fetched_for_an_item_goes_with_it(alice: User) -> None:
    run = running(lifecycle.create("shelves", {}, owner=alice).job)
    alive: weakref.WeakSet[Fetched] = weakref.WeakSet()

    def fetch(_: int) -> Fetched:
        alive.add(one := Fetched())
        return one

    with run.step("fill") as step:
        for item in step.items(list(range(12)), key=str, fetch=fetch):
            with item:
                assert item.fetched in alive
                assert len(alive) <= 4  # this one, the one before, and two ahead


def test_cancel_is_seen_at_the_next_item(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    run = running(job)
    done = []
    with pytest.raises(Cancelled), run.step("work") as step:
        for item in step.items(range(5), key=str):
            with item:
                done.append(item.value)
            if item.value == 1:
                lifecycle.cancel(job, alice)
    assert done == [0, 1, 2]  # the fence of the third read the flag


def test_a_changed_row_moves_with_the_item_or_not_at_all(alice: User) -> None:
    shelf = Shelf.objects.create(name="a")
    run = running(lifecycle.create("ping", {}, owner=alice).job)
    with run.step("work") as step:
        for item in step.items([0, 1], key=str):
            with item:
                run.changed(shelf)
                if item.value == 1:
                    from ingestion.source import SourceError

                    raise SourceError("no", "No.")
    shelf.refresh_from_db()
    assert shelf.version == 2


def test_waiting_ends_the_attempt_and_the_answer_comes_back(alice: User) -> None:
    job = run_inline("door", alice)
    assert (job.state, job.waiting_for["kind"]) == (State.WAITING, "review")

    job = resume_inline(lifecycle.answer(job, "approve", {}, alice))
    assert (job.state, job.message) == (State.COMPLETED, "approve by alice")


def test_a_retry_does_only_what_was_left_undone(alice: User) -> None:
    parent = run_inline("shelves", alice, n=4, fail=["k0001", "k0002"])
    Job.objects.filter(pk=parent.pk).update(params={**parent.params, "fail": []})
    child = lifecycle.retry(parent, alice).job
    assert lifecycle.retry(parent, alice).job == child
    child = resume_inline(child)

    assert (child.state, counts(child)) == (State.COMPLETED, {"done": 4})
    assert set(effects(child)) == {"k0001", "k0002"}
    assert child.items.get(key="k0000").finished_at == parent.items.get(key="k0000").finished_at


def test_a_retry_of_chosen_items_leaves_the_others_failed(alice: User) -> None:
    parent = run_inline("shelves", alice, n=4, fail=["k0001", "k0002"])
    Job.objects.filter(pk=parent.pk).update(params={**parent.params, "fail": []})
    child = resume_inline(lifecycle.retry(parent, alice, keys=["k0002"]).job)

    assert (child.state, counts(child)) == (State.PARTIAL, {"done": 3, "failed": 1})


@pytest.mark.parametrize(
    "values", [list(range(100)), range(100), {n: n for n in range(100)}, iter(range(100))]
)
def test_track_counts_without_rows(alice: User, values: object) -> None:
    run = running(lifecycle.create("ping", {}, owner=alice).job)
    with run.step("work") as step:
        for seen, _ in enumerate(step.track(values, total=100), 1):  # type: ignore[arg-type]
            assert step.count() in (seen, seen - 1)
        assert (step.count(), step.share()) == (100, 1.0)
    assert Job.objects.get().items_total == 0


def test_failures_outside_items_wait_and_end_well(alice: User) -> None:
    job = run_inline("faulty", alice, times=1)
    assert (job.state, job.pending_reason, job.failures) == (State.PENDING, "retry", 1)
    job = resume_inline(job)
    assert job.state == State.COMPLETED
    assert "SourceError" in job.attempts.get(number=1).traceback


def test_what_cannot_be_retried_ends_at_once(alice: User) -> None:
    job = run_inline("faulty", alice, times=9, retryable=False)
    assert (job.state, job.error) == (State.FAILED, {"code": "unlucky", "text": "It did not work out."})


def test_an_items_end_costs_one_statement_more_than_the_authors(alice: User) -> None:
    from django.test.utils import CaptureQueriesContext

    run = running(lifecycle.create("ping", {}, owner=alice).job)
    with run.step("work") as step:
        items = step.items(["a", "b"], key=str)
        item = next(items)
        with CaptureQueriesContext(connection) as queries, item:
            pass
    assert [q["sql"].split()[0] for q in queries.captured_queries] == ["BEGIN", "WITH", "COMMIT"]
    assert Job.objects.get(pk=run.id).items_done == 1


def test_progress_is_weighted_and_steps_are_json(alice: User) -> None:
    run = running(lifecycle.create("shelves", {}, owner=alice).job)
    with run.step("look"):
        assert run.progress() == 0.0
    with run.step("fill") as step:
        for n in step.track(range(4)):
            if n == 1:
                assert run.progress() == pytest.approx(0.1 + 0.8 * 0.5)
    assert json.loads(json.dumps(run.steps_json()))["fill"]["done"] == 4
    assert Outcome() == Outcome()
