"""For authors who come from elsewhere: tell of work by the names that they know.

Each is one call of ours, and none is needed: a source says what it does, and the engine tells everybody who
looks. Nothing is sent from here; figures go the way of a step's own.
"""

from collections.abc import Mapping
from typing import Any, NoReturn
from uuid import UUID

from django.db.models import Count, QuerySet

from ingestion import lifecycle, queues, serializers
from ingestion.access import visible_jobs
from ingestion.admission import Refused
from ingestion.models import Job, State
from ingestion.run import Run
from ingestion.settings import MAX_ITEMS
from ingestion.source import Outcome, SourceError, registry
from ingestion.steps import StepHandle

JsonObject = dict[str, Any]


def send_progress_update(job: Run, processed: int, total: int | None = None, message: str = "") -> None:
    """Say how many units of the step at hand are done, of how many; the percentage follows. (S2.11)

    Raises RuntimeError outside a step, and in one that counts by itself: with items, or with `track`.
    """
    step = _step(job)
    step.report(processed, total)
    if message:
        step.message(message)


def send_batch_update(
    job: Run, batch_completed: int, total_batches: int, results: Mapping[str, Any] | None = None
) -> None:
    """Say that a batch is completed, and what it came to: a line of the job's history. (S2.14)

    Raises RuntimeError outside a step.
    """
    text = f"Batch {batch_completed:,} of {total_batches:,} completed"
    _step(job).message(text)
    job.log(text, **{**(results or {}), "batch_completed": batch_completed, "total_batches": total_batches})


def send_completion_update(
    job: Run, results: Mapping[str, Any] | None = None, text: str = "", url: str = ""
) -> Outcome:
    """Return what the run came to, for `run` to return: the job ends with it. (S2.12, S2.84)

    text: one sentence for the user. url: where the result is.
    """
    job.checkpoint()
    return Outcome(text=text, url=url, data={"status": "success", **(results or {})})


def send_error_update(
    job: Run, text: str, code: str = "source_failed", *, retryable: bool = False
) -> NoReturn:
    """Raise the SourceError that ends the job, or inside `with item:` that item. (S2.13, S2.85)

    text: one sentence for the user. code: [a-z_]. retryable: True when trying again later may help.
    """
    job.checkpoint()
    raise SourceError(code, text, retryable=retryable)


class TaskManager:
    """Jobs as tasks: those that one user sees and starts, or all of them for the system itself."""

    def __init__(self, user: Any = None) -> None:
        self._user = user

    def create_task(self, name: str, total_items: int = 0, metadata: Mapping[str, Any] | None = None) -> str:
        """Make a job and return its id; a worker takes it by itself. (S2.20)

        name: a source's kind or label. total_items: where it is known; what a job may not have is refused at
        once. metadata: the source's parameters. Raises Refused.
        """
        if total_items > MAX_ITEMS:
            raise Refused("too_many_items", f"A job may have at most {MAX_ITEMS:,} items.")
        labels = {one.label: kind for kind, one in registry().items()}
        created = lifecycle.create(labels.get(name, name), metadata or {}, owner=self._user)
        return str(created.job.pk)

    def run_task(self, task_id: str) -> JsonObject:
        """Have a worker look for it at once, and return where it stands. (S2.21)

        What runs is its source's `run`, with the parameters that it was made with. Raises Job.DoesNotExist.
        """
        job = self._jobs().get(pk=UUID(task_id))
        queues.wake(job.queue)
        return serializers.job_data(job)

    def get_task_status(self, task_id: str) -> JsonObject:
        """Return a job as the API tells it. (S2.22)  Raises Job.DoesNotExist for one that is not seen."""
        return serializers.job_data(self._jobs().get(pk=UUID(task_id)))

    def get_task_summary(self) -> dict[str, int]:
        """Count the jobs by state. (S2.23)"""
        rows = self._jobs().order_by().values_list("state").annotate(many=Count("pk"))
        counts = {**dict.fromkeys(State.values, 0), **dict(rows)}
        return {"total": sum(counts.values()), **counts}

    def _jobs(self) -> QuerySet[Job]:
        return Job.objects.all() if self._user is None else visible_jobs(self._user)


def get_task_manager(user: Any = None) -> TaskManager:
    """Return what makes and finds tasks for a user; without one, for the system: it sees all. (S2.15)"""
    return TaskManager(user)


def _step(job: Run) -> StepHandle:
    running = [step for step in job.steps.values() if step.state == "running"]
    if not running:
        raise RuntimeError("enter a step first: `with job.step(...)`")
    return running[-1]
