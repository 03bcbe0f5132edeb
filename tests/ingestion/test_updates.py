"""Helper functions by names that authors know from elsewhere, called by a source that runs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from ingestion import lifecycle, queues, source, updates
from ingestion.admission import Refused
from ingestion.models import Job, State
from ingestion.source import Outcome, Step
from ingestion.testing import resume_inline, run_inline
from ingestion.updates import (
    get_task_manager,
    send_batch_update,
    send_completion_update,
    send_error_update,
    send_progress_update,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def runs(alice: User) -> Iterator[Callable[[Any], Job]]:
    """Run a function as a source of one step; return the job as it ended."""

    def run(function: Any) -> Job:
        source.source("by_name", label="By name", steps=[Step("read", "Read")])(function)
        return run_inline("by_name", alice)

    yield run
    source._registry.pop("by_name", None)


@pytest.mark.seed("S2.11", "S2.12", "S2.14", "S2.83", "S2.84")
def test_a_source_tells_how_far_it_is_by_these_names(runs: Callable[[Any], Job]) -> None:
    told: list[tuple[str, float, dict[str, Any]]] = []

    def counting(job: Any) -> Outcome:
        with job.step("read"):
            for n in range(1, 5):
                send_progress_update(job, n, 4, f"Article {n}")
                told.append((job.message, job.progress(), job.steps_json()["read"]))  # what is written
                if n % 2 == 0:
                    send_batch_update(job, n // 2, 2, {"saved": n})
        return send_completion_update(job, {"saved": 4}, "4 articles kept", "/topics/")

    job = runs(counting)
    assert [one[0] for one in told] == ["Article 1", "Article 2", "Article 3", "Article 4"]
    assert [one[1] for one in told] == [0.25, 0.5, 0.75, 1.0]
    assert [(one[2]["done"], one[2]["total"]) for one in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (job.state, job.message, job.result_url) == (State.COMPLETED, "4 articles kept", "/topics/")
    assert job.result == {"status": "success", "saved": 4}
    batches = list(job.events.filter(kind="log").order_by("version").values_list("message", "data"))
    assert batches == [
        ("Batch 1 of 2 completed", {"saved": 2, "batch_completed": 1, "total_batches": 2}),
        ("Batch 2 of 2 completed", {"saved": 4, "batch_completed": 2, "total_batches": 2}),
    ]


@pytest.mark.seed("S2.13", "S2.85")
def test_an_error_ends_the_job_with_its_text(runs: Callable[[Any], Job]) -> None:
    def failing(job: Any) -> None:
        send_error_update(job, "The shelf is full.", "shelf_full")

    job = runs(failing)
    assert (job.state, job.error) == (State.FAILED, {"code": "shelf_full", "text": "The shelf is full."})


@pytest.mark.seed("S2.13", "S2.85")
def test_an_error_of_an_item_is_told_of_it_alone(runs: Callable[[Any], Job]) -> None:
    def some(job: Any) -> Outcome:
        with job.step("read") as step:
            for item in step.items(["a", "b", "c"], key=str):
                with item:
                    if item.value == "b":
                        send_error_update(job, "There is no b.")
        return send_completion_update(job)

    job = runs(some)
    assert (job.state, job.items_done, job.items_failed) == (State.PARTIAL, 2, 1)
    failed = job.items.get(state="failed")
    assert (failed.key, failed.error_code, failed.error) == ("b", "source_failed", "There is no b.")


def test_what_counts_by_itself_is_not_counted_twice(runs: Callable[[Any], Job]) -> None:
    wrong: list[str] = []

    def attempt(job: Any) -> None:
        try:
            send_progress_update(job, 1, 2)
        except RuntimeError as error:
            wrong.append(str(error))

    def counting(job: Any) -> None:
        attempt(job)
        with job.step("read") as step:
            for _ in step.track([1]):
                attempt(job)
            for item in step.items(["a"], key=str):
                with item:
                    attempt(job)

    assert runs(counting).state == State.COMPLETED
    assert wrong == ["enter a step first: `with job.step(...)`", *["this step counts by itself"] * 2]


def test_progress_never_goes_back(runs: Callable[[Any], Job]) -> None:
    def counting(job: Any) -> None:
        with job.step("read"):
            for n in (3, 1, 2):
                send_progress_update(job, n, 4)
                assert job.progress() == 0.75

    assert runs(counting).state == State.COMPLETED


@pytest.mark.seed("S2.15", "S2.20", "S2.21", "S2.22", "S2.23")
def test_the_task_manager_makes_runs_and_counts_jobs(alice: User, bob: User, monkeypatch: Any) -> None:
    woken: list[str] = []
    monkeypatch.setattr(queues, "wake", lambda queue, times=1: bool(woken.append(queue)))
    manager = get_task_manager(alice)
    task = manager.create_task("Shelves", 3, {"name": "tea", "n": 3})
    job = Job.objects.get()
    assert (str(job.pk), job.source, job.owner, job.params["n"]) == (task, "shelves", alice, 3)
    del woken[:]
    assert manager.run_task(task)["state"] == "pending" and woken == ["default"]
    resume_inline(job)
    status = manager.get_task_status(task)
    assert (status["state"], status["progress"], status["items"]["done"]) == ("completed", 1.0, 3)
    other = get_task_manager(bob)
    other.create_task("ping")
    with pytest.raises(Job.DoesNotExist):
        other.get_task_status(task)
    counts = dict.fromkeys(State.values, 0)
    assert manager.get_task_summary() == {"total": 1, **counts, "completed": 1}
    assert get_task_manager().get_task_summary() == {"total": 2, **counts, "completed": 1, "pending": 1}
    with pytest.raises(Refused, match="100,000 items"):
        manager.create_task("shelves", 100_001)


@pytest.mark.seed("S2.93")
def test_a_task_and_the_summary_are_printed_from_a_shell(alice: User, capsys: Any) -> None:
    job = lifecycle.create("shelves", {"name": "tea"}, owner=alice).job
    task = f"get_task_manager().get_task_status({str(job.pk)!r})"
    for asked in (f"print({task}['state'])", "print(get_task_manager().get_task_summary())"):
        call_command("shell", command=f"from ingestion.updates import get_task_manager\n{asked}", verbosity=0)
    one, summary = capsys.readouterr().out.split("\n")[:2]
    assert one == "pending" and summary.startswith("{'total': 1, 'pending': 1, ")


def test_each_name_of_the_seed_is_there() -> None:
    names = "send_progress_update send_completion_update send_error_update send_batch_update get_task_manager"
    assert all(callable(getattr(updates, name)) for name in names.split())
