"""The verbs of a job's life. The only writer of `Job.state`.

Each verb is one transaction: one conditional UPDATE guarded by state (and by the lease token where a worker
acts), its event, the user streams it moves; hints and wake-ups follow on commit. False or None means that
somebody was first, which is normal. Lock order: queue, objects, job, dependants, inbox rows.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

import structlog
from django.db import OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from config import audit, patience, texts
from ingestion import answers, claims, moves, needs, notices, queues
from ingestion.admission import (
    MAX_PARENTS,
    Created,
    Refused,
    check_capacity,
    inherit,
    invalid,
    let_wait,
    not_waiting,
    take_uploads,
    validated,
)
from ingestion.clock import ClockTimestamp, read_clock
from ingestion.failpoints import hit
from ingestion.history import Figures, Note, record
from ingestion.models import (
    ACTIVE_REASONS,
    OPEN,
    ItemState,
    Job,
    JobEvent,
    JobItem,
    Level,
    PendingReason,
    Priority,
    State,
)
from ingestion.outcomes import LEVEL_OF, QUIET, by_whom, cancelled_note, judge, sentence
from ingestion.source import Outcome, Source, SourceError, SourceParams, find
from notifications import inbox
from realtime.publish import publish, recheck

log = structlog.get_logger(__name__)
P = ParamSpec("P")

CRASHES_IN_A_ROW = 3  # at the third without progress the suspect is set aside
CRASH_WAITS = (timedelta(0), timedelta(seconds=5))  # before the second and third start


def create(
    kind: str,
    params: Mapping[str, Any] | SourceParams,
    *,
    owner: Any,
    priority: int = Priority.NORMAL,
    run_after: datetime | None = None,
    depends_on: Sequence[Job] = (),
    strict: bool = False,
) -> Created:
    """Make a job, or join the open one that does the same work.

    kind: a registered source. params: what it is asked to do. owner: the user. run_after: not earlier.
    depends_on: jobs that must have ended completed or partial (`strict`: completed). Raises Refused.
    """
    source, p = validated(kind, params)
    if len(depends_on) > MAX_PARENTS:
        raise invalid("depends_on", f"At most {MAX_PARENTS}.")
    try:
        source.can_start(owner, p)
    except SourceError as error:
        raise Refused(error.code, error.message) from error
    title, subject = source.describe(p)
    key = source.unique_key(p)
    if key is not None and not source.shared:
        key = f"{'-' if owner is None else owner.pk}:{key}"
    job = Job(
        source=kind,
        queue=source.queue,
        title=title[:200],
        subject=subject[:200],
        params=p.model_dump(mode="json"),
        unique_key=key,
        limit_key=source.limit_key_of(p),
        owner=owner,
        priority=priority,
        run_after=run_after,
        pending_reason=PendingReason.SCHEDULE if run_after else PendingReason.QUEUE,
        steps={
            step.name: {"label": step.label, "weight": step.weight, **_BLANK_STEP} for step in source.steps
        },
    )
    if not run_after and not depends_on and (asked := source.asks_first(p)):
        let_wait(job, *asked)
    return _insert(job, source, p, depends_on, strict)


def retry(job: Job, by: Any, *, keys: Sequence[str] | None = None, error_code: str | None = None) -> Created:
    """Make a job that does what an ended one left undone, or join its open retry.

    keys, error_code: only those failed items; the others stay as they ended. Raises Refused.
    """
    parent = Job.objects.filter(pk=job.pk).first()
    if parent is None:
        raise Refused("not_found", "Not found.")
    if not parent.is_final:
        raise Refused("not_finished", "This job has not finished yet.")
    if not parent.leaves_work:
        raise Refused("nothing_to_retry", "There is nothing to retry.")
    source, p = validated(parent.source, parent.params)
    try:
        source.can_retry(parent)
    except SourceError as error:
        raise Refused(error.code, error.message) from error
    chosen = ~Q(state__in=(ItemState.DONE, ItemState.SKIPPED))
    if keys is not None:
        chosen &= Q(key__in=keys)
    if error_code is not None:
        chosen &= Q(error_code=error_code)
    if (keys is not None or error_code is not None) and not parent.items.filter(chosen).exists():
        raise Refused("nothing_to_retry", "There is nothing to retry.")
    again = set(parent.items.filter(chosen).values_list("step", flat=True))
    steps = {
        name: step if step["state"] == "completed" and name not in again else {**step, **_BLANK_STEP}
        for name, step in parent.steps.items()
    }
    child = Job(
        source=parent.source,
        queue=source.queue,
        title=parent.title,
        subject=parent.subject,
        object=parent.object,
        params=parent.params,
        unique_key=parent.unique_key,
        limit_key=parent.limit_key,
        owner=parent.owner or by,
        priority=parent.priority,
        steps=steps,
        memo=parent.memo,
        retry_of=parent,
    )
    return _insert(child, source, p, (), strict=False, inherited=parent.items.exclude(chosen), by=by)


def _insert(
    job: Job,
    source: Source,
    p: SourceParams,
    parents: Sequence[Job],
    strict: bool,
    inherited: QuerySet[JobItem] | None = None,
    by: Any = None,
) -> Created:
    for _ in range(3):  # the open job that we meet may end before we can join it
        try:
            with transaction.atomic():
                check_capacity(job)
                if parents:
                    needs.check_depth(parents)
                    job.pending_reason = PendingReason.DEPENDENCY
                moves.create(job, Note("created", f"{job.title} was asked for"))
                take_uploads(job, p)
                if inherited is not None:
                    inherit(job, inherited)
                source.created(job, p)
                needs.add(job, parents, strict)
                if job.retry_of_id:
                    _announce_child(job.retry_of_id, job)
                    audit.write("job.retry", f"job:{job.retry_of_id}", by, job=job.pk)
                _tell(job, *_unblock([job.pk] if parents else []))
                hit("job.create.before_commit")
        except moves.Met:
            joined = _join(job)
            if joined is not None:
                return Created(joined, created=False)
            continue
        hit("job.create.after_commit")
        made = moves.read(job.pk)
        made.owner = job.owner
        return Created(made, created=True)
    raise Refused(
        "queue_full", "The service is busy. Nothing was created. Try again in 5 seconds.", retry_after=5
    )


def _join(job: Job) -> Job | None:
    same = Q(source=job.source, unique_key=job.unique_key, unique_key__isnull=False)
    if job.retry_of_id is not None:
        same |= Q(retry_of=job.retry_of_id)
    found = Job.objects.filter(same, state__in=OPEN).first()
    if found is not None and job.owner_id is not None and found.owner_id != job.owner_id:
        with transaction.atomic():
            inbox.follow(job.owner, found.stream, limited=False)  # or they would not see what they started
            inbox.touch([job.owner_id])
    return found


def _announce_child(parent_id: UUID, child: Job) -> None:
    # The one change a final row takes: its page must link to the retry.
    Job.objects.filter(pk=parent_id).update(version=F("version") + 1)
    parent = Job.objects.get(pk=parent_id)
    record(
        parent.pk, [Note("retried", "A new job does the rest", data={"job": str(child.pk)})], parent.version
    )
    publish(parent.stream, parent.version, urgent=True)


# ---- running ----------------------------------------------------------------------------------------------


def claim(queue: str, *, worker: str, token: UUID, rq_id: str = "") -> Job | None:
    """Give the best claimable job of a queue to this worker, or return None."""
    passed: list[UUID] = []  # somebody holds an inbox that their start writes to
    while True:
        job_id = None
        try:
            with transaction.atomic():
                claims.lock(queue)
                job_id = claims.pick(queue, *passed)  # its own statement: its snapshot is newer than the lock
                job = None if job_id is None else start(job_id, worker=worker, token=token, rq_id=rq_id)
                hit("claim.before_commit")
        except OperationalError as error:
            if job_id is None or len(passed) == patience.MOST_WAITS or not patience.is_held(error):
                raise
            passed.append(job_id)
            continue
        if job is not None:
            hit("claim.after_commit")
        return job


def start(job_id: UUID, *, worker: str, token: UUID, rq_id: str = "") -> Job | None:
    """Give the lease of a pending job to a worker. Called inside the claim's transaction."""
    job = moves.start(job_id, token, worker, rq_id)
    if job is None:
        return None
    log.info("job_started", job=str(job.pk), source=job.source, attempt=job.attempt, worker=worker)
    _tell(job)
    return job


def _holding(verb: Callable[Concatenate[Job, P], bool]) -> Callable[Concatenate[UUID, UUID, P], bool]:
    """Make a verb of a locked running job one of (job id, lease token): False when the lease is gone."""

    @wraps(verb)
    def held(job_id: UUID, token: UUID, *args: P.args, **kwargs: P.kwargs) -> bool:
        with transaction.atomic():
            job = moves.held(job_id, token)
            return job is not None and verb(job, *args, **kwargs)

    return held  # type: ignore[return-value]  # mypy takes the names of its parameters for required


@_holding
def finish(job: Job, outcome: Outcome, figures: Figures | None = None) -> bool:
    """End an attempt whose code returned: completed, partial or failed by what became of its items."""
    source = find(job.source)
    state, error = judge(job, source.partial_at if source else 1.0, outcome.partial)
    text = texts.marked(outcome.text) or sentence(job, state)
    note = Note(state, error["text"] if error else text, LEVEL_OF[state])
    columns: dict[str, Any] = {
        "error": error,
        "message": text[:300],
        "result": {**outcome.data, **({QUIET: True} if outcome.quiet else {})} or None,
        "result_url": outcome.url[:500],
    }
    if not job.items_failed:
        columns["progress"] = 1.0
    return _end(job, state, note, columns, figures)


@_holding
def fail(job: Job, error: Mapping[str, str], figures: Figures | None = None, traceback: str = "") -> bool:
    """End a running job as failed. `error` is {code, text}, the text for the user."""
    return _fail(job, error, figures, traceback=traceback)


@_holding
def stop(job: Job, figures: Figures | None = None) -> bool:
    """End a running job as cancelled: its attempt obeyed, or was ended."""
    return _end(job, State.CANCELLED, cancelled_note(job), {}, figures)


@_holding
def wait(job: Job, kind: str, text: str, figures: Figures | None = None) -> bool:
    """End an attempt until a person has answered."""
    if job.cancel_requested_at is not None:
        return _end(job, State.CANCELLED, cancelled_note(job), {}, figures)
    since = read_clock().isoformat()
    columns = {"waiting_for": {"kind": kind, "since": since, "text": text}, "message": text[:300]}
    note = Note("waiting", text, Level.WARNING, {"kind": kind})
    if _leave(job, State.WAITING, note, columns, figures, outcome="waiting") is None:
        return False
    _tell(job)
    return True


@_holding
def release(job: Job, figures: Figures | None = None) -> bool:
    """Give a running job back: its worker was told to stop. Counts as nothing."""
    note = Note("released", "The worker was stopped; the job goes on with the next one")
    return _requeue(job, note, figures, outcome="released")


@_holding
def try_again(
    job: Job,
    error: Mapping[str, str],
    figures: Figures | None = None,
    traceback: str = "",
    retry_after: float | None = None,
) -> bool:
    """End a failed attempt: again later while the source's retries last, else failed."""
    source = find(job.source)
    if source is None or job.failures >= source.retry.times:
        return _fail(job, error, figures, traceback=traceback)
    most = min(source.retry.backoff * 2**job.failures, source.retry.most)
    seconds = min(retry_after, 3600.0) if retry_after else random.uniform(most / 2, most)
    note = Note("retrying", f"{error['text']} Trying again in {seconds:.0f} s.", Level.WARNING)
    columns = {"failures": job.failures + 1, "message": note.message[:300]}
    return _requeue(
        job,
        note,
        figures,
        columns,
        reason=PendingReason.RETRY,
        after=timedelta(seconds=seconds),
        outcome="retry",
        traceback=traceback,
    )


def rescue(job_id: UUID, token: UUID, *, crashed: bool, expired: bool = True) -> bool:
    """Take the lease from a worker that is gone.

    crashed: count it; False after an outage of ours. expired: only when the lease has run out (False: the
    worker's own parent saw its horse die).
    """
    with transaction.atomic():
        job = moves.held(job_id, token)
        if job is None or job.lease_until is None or (expired and job.lease_until >= read_clock()):
            return False
        if job.cancel_requested_at is not None:
            return _end(job, State.CANCELLED, cancelled_note(job), {}, None, outcome="lost")
        if not crashed:
            note = Note("rescued", "The worker was lost; starting again", Level.WARNING)
            return _requeue(job, note, None, outcome="lost")
        crashes = job.crashes + 1
        note = Note("crashed", "The worker was lost; starting again", Level.WARNING, {"crashes": crashes})
        columns: dict[str, Any] = {"crashes": crashes, "message": note.message}
        wait_for = CRASH_WAITS[min(crashes, len(CRASH_WAITS)) - 1]
        suspect = job.items.filter(state=ItemState.RUNNING).order_by("-crashes", "ordinal").first()
        # An item is written as running only after a crash: its own count is one behind.
        if crashes >= CRASHES_IN_A_ROW or (suspect and suspect.crashes >= CRASHES_IN_A_ROW - 1):
            if suspect is None:
                text = "The job ended its worker three times in a row without getting further."
                return _fail(job, {"code": "crashed", "text": text}, None, outcome="crashed")
            columns |= _quarantine(job, suspect)
            note = Note("quarantined", f"{suspect.label or suspect.key} was set aside", Level.ERROR)
            wait_for = timedelta(0)
        return _requeue(job, note, None, columns, after=wait_for, outcome="crashed")


def _quarantine(job: Job, item: JobItem) -> dict[str, Any]:
    JobItem.objects.filter(pk=item.pk).update(
        state=ItemState.QUARANTINED,
        error_code="crashed",
        error="This item ended its worker three times. It was set aside.",
        finished_at=Now(),
        version=job.version + 1,
    )
    return {"crashes": 0, "items_failed": job.items_failed + 1}


def cancel(job: Job, by: Any) -> Job:
    """Cancel a job that does not run; ask a running one to stop. Twice is the same as once. Raises Refused.

    An owner whose job others have joined only leaves it: the first of them becomes its owner.
    """
    with transaction.atomic():
        current = Job.objects.select_for_update().filter(pk=job.pk).first()
        if current is None:
            raise Refused("not_found", "Not found.")
        if current.is_final:
            raise Refused("already_finished", "This job has already finished.")
        source = find(current.source)  # who merely follows somebody's own job has not asked for its work
        shared = source is not None and source.shared
        heirs = inbox.followers(current.stream) - {current.owner_id} if shared else set()
        if by is not None and by.pk == current.owner_id and heirs:
            return _leave_to(current, min(heirs), by)
        if current.cancel_requested_at is not None and current.state == State.RUNNING:
            return current
        audit.write("job.cancel", current.stream, by)
        if current.state == State.RUNNING:
            note = Note("cancel_requested", by_whom("Cancelling, asked for by", by))
            _change(current, [note], cancel_requested_at=ClockTimestamp(), cancel_requested_by=by)
        else:
            note = Note("cancelled", by_whom("Cancelled by", by), Level.WARNING)
            _end(current, State.CANCELLED, note, {"cancel_requested_by_id": by and by.pk}, None)
    return Job.objects.get(pk=job.pk)


def answer(job: Job, answer: str, data: Mapping[str, Any], by: Any) -> Job:
    """Give a waiting job its answer; `reject` cancels it, anything else lets it go on. Raises Refused."""
    with transaction.atomic():
        current = Job.objects.select_for_update().get(pk=job.pk)
        if current.state != State.WAITING or current.waiting_for is None:
            raise not_waiting(current)
        given, memo = answers.accept(current, answer, data, by)
        audit.write("job.answer", current.stream, by, answer=answer)
        columns: dict[str, Any] = {"answer": given, "waiting_for": None}
        if answer == "reject":
            reason = " ".join(str(data.get("reason") or "").split())[:300]
            text = f"Rejected by {by.get_username()}{': ' + reason if reason else ''}"
            columns |= {"error": {"code": "rejected", "text": text}, "message": text[:300]}
            columns["cancel_requested_by_id"] = by.pk
            _end(current, State.CANCELLED, Note("rejected", text, Level.WARNING), columns, None)
        else:
            columns["memo"] = memo
            text = f"{answers.TOLD.get(answer, answer.capitalize())} by {by.get_username()}"
            note = Note("answered", text, data={"answer": answer})
            _requeue(current, note, None, columns)
    return Job.objects.get(pk=job.pk)


def note(job: Job, line: Note) -> None:
    """Add a line to the history of a job that does not run; pages that show the job look again."""
    with transaction.atomic():
        _change(Job.objects.select_for_update().get(pk=job.pk), [line])


def delete(job: Job, by: Any) -> None:
    """Remove an ended job with all its rows. Raises Refused when it has not ended."""
    with transaction.atomic():
        current = Job.objects.select_for_update().filter(pk=job.pk).first()
        if current is None:
            return
        if not current.is_final:
            raise Refused("not_finished", "This job has not finished yet.")
        name, owner, version = current.stream, current.owner_id, current.version
        audit.write("job.delete", current.stream, by, title=current.title, owner=current.owner_id)
        current.delete()
        publish(name, version + 1)
        inbox.forget([name], [owner] if owner else [])
    log.info("job_deleted", job=str(job.pk), by=getattr(by, "pk", None))


def make_due(limit: int = 200) -> int:
    """Turn pending rows whose time has come (retry, schedule) into queued ones. Return how many."""
    due = Job.objects.filter(_LATER, run_after__lte=ClockTimestamp()).order_by("run_after")
    return patience.each(due.values_list("pk", "owner_id")[:limit], _make_due)


def _make_due(pk: UUID) -> bool:
    job = Job.objects.select_for_update(skip_locked=True).filter(_LATER, pk=pk).first()
    if job is not None:
        _change(job, [], pending_reason=PendingReason.QUEUE, run_after=None, message="")
    return job is not None


def unblock(limit: int = 200) -> int:
    """Look again at jobs that wait for others; their parents' ends do it first. Return how many were open."""
    waiting = Job.objects.filter(state=State.PENDING, pending_reason=PendingReason.DEPENDENCY).order_by("pk")
    rows = list(waiting.exclude(need_rows__parent__state__in=OPEN).values_list("pk", "owner_id")[:limit])
    patience.each(rows, lambda pk: _tell(*_unblock([pk])))
    return len(rows)


def note_stall(job_id: UUID, token: UUID, minutes: int) -> bool:
    """Say once that a running job has made no progress for some minutes."""
    with transaction.atomic():
        job = moves.held(job_id, token)
        if job is None or not Job.objects.filter(UNTOLD_STALL, pk=job_id).exists():
            return False
        _change(job, [Note("stalled", f"No progress for {minutes} minutes", Level.WARNING)])
    return True


_STALLS = JobEvent.objects.filter(job=OuterRef("pk"), kind="stalled", at__gte=OuterRef("progress_at"))
UNTOLD_STALL = ~Exists(_STALLS)
_LATER = Q(state=State.PENDING, pending_reason__in=(PendingReason.RETRY, PendingReason.SCHEDULE))
_READY = (PendingReason.QUEUE, PendingReason.SLOT)
_BLANK_STEP = {"state": "pending", "started_at": None, "finished_at": None, "done": 0, "total": None}


def _leave(
    job: Job,
    to: State,
    note: Note,
    columns: Mapping[str, Any],
    figures: Figures | None,
    *,
    outcome: str,
    traceback: str = "",
) -> moves.Moved | None:
    """Make the move, guarded by the state and token that were read under the row's lock."""
    figures = figures or Figures()
    values = {
        "pending_reason": PendingReason.NONE.value,
        "lease_token": None,
        "lease_until": None,
        "waiting_for": None,
        "eta_seconds": None,
        **figures.columns,
        **columns,
    }
    moved = moves.leave(job, to, [*figures.notes, note], values, outcome, traceback)
    if moved is None:
        return None
    job.state, job.version, job.run_after = to, moved.version, moved.run_after
    hit(f"job.{outcome}.before_commit")
    return moved


def _end(
    job: Job, to: State, note: Note, columns: Mapping[str, Any], figures: Figures | None, **attempt: str
) -> bool:
    ended = _finalise(job, to, note, columns, figures, **attempt)
    _tell(*ended)
    if ended:
        log.info("job_ended", job=str(job.pk), source=job.source, state=str(to))
    return bool(ended)


def _finalise(
    job: Job,
    to: State,
    note: Note,
    columns: Mapping[str, Any],
    figures: Figures | None,
    *,
    outcome: str = "",
    traceback: str = "",
) -> list[Job]:
    """End a job and what that means for its dependants; return the jobs that moved, for `_tell`."""
    final = {"finished_at": moves.NOW, "run_after": None, "rate": None}
    moved = _leave(job, to, note, {**columns, **final}, figures, outcome=outcome or to, traceback=traceback)
    if moved is None:
        return []
    if job.attempt > 1:  # an item that was written down as running, after a crash, runs no more
        job.items.filter(state=ItemState.RUNNING).update(state=ItemState.PENDING, version=job.version)
    source = find(job.source)
    if source is not None and type(source).ended is not Source.ended:
        job.refresh_from_db()
        try:
            with transaction.atomic():
                source.ended(job)
        except Exception as error:
            if patience.is_held(error):
                raise  # what follows would be lost: all of it is tried again
            log.exception("source_ended_failed", job=str(job.pk), source=job.source)
    _wake_after_commit(job.queue)
    return [job, *_unblock(needs.needing(job) if moved.needed else ())]


def _fail(job: Job, error: Mapping[str, str], figures: Figures | None, **attempt: str) -> bool:
    note = Note("failed", error["text"], Level.ERROR)
    columns = {"error": dict(error), "message": error["text"][:300]}
    return _end(job, State.FAILED, note, columns, figures, **attempt)


def _requeue(
    job: Job,
    note: Note,
    figures: Figures | None,
    columns: Mapping[str, Any] | None = None,
    *,
    reason: PendingReason = PendingReason.QUEUE,
    after: timedelta = timedelta(0),
    outcome: str = "",
    traceback: str = "",
) -> bool:
    if job.cancel_requested_at is not None:
        return _end(job, State.CANCELLED, cancelled_note(job), {}, figures, outcome=outcome)
    later = {
        "pending_reason": reason if not after or reason != PendingReason.QUEUE else PendingReason.RETRY,
        "run_after": moves.Later(after) if after else None,
        **(columns or {}),
    }
    if _leave(job, State.PENDING, note, later, figures, outcome=outcome, traceback=traceback) is None:
        return False
    _tell(job)
    return True


def _leave_to(job: Job, heir: int, by: Any) -> Job:
    inbox.unfollow(heir, job.stream)
    _amend(job, [Note("left", by_whom("Left to the others by", by))], owner_id=heir)
    inbox.touch([heir, by.pk], [job.stream])  # at once: inboxes are locked in ascending order
    publish(job.stream, job.version, urgent=True)
    recheck([by.pk])
    return Job.objects.get(pk=job.pk)


def _change(job: Job, notes: list[Note], **columns: Any) -> None:
    """Write columns of a row that is locked here and stays in its state."""
    _amend(job, notes, **columns)
    _tell(job, moved=False)


def _amend(job: Job, notes: list[Note], **columns: Any) -> None:
    first = job.version + 1
    Job.objects.filter(pk=job.pk).update(version=F("version") + max(1, len(notes)), **columns)
    job.refresh_from_db()
    record(job.pk, notes, first)


def _unblock(ids: Iterable[UUID]) -> list[Job]:
    """Move dependants whose needs are met, cancel those whose needs failed; return them, for `_tell`."""
    moved: list[Job] = []
    for job, unmet in needs.settled(ids):
        if unmet:
            text = f"“{unmet}” did not end well, and this job needs it."
            columns = {"error": {"code": "dependency_failed", "text": text}, "message": text[:300]}
            moved += _finalise(job, State.CANCELLED, Note("cancelled", text, Level.WARNING), columns, None)
        else:
            reason = PendingReason.SCHEDULE if job.run_after else PendingReason.QUEUE
            _amend(job, [Note("unblocked", "What it needed is done")], pending_reason=reason)
            moved.append(job)
    return moved


def _tell(*jobs: Job, moved: bool = True) -> None:
    """Tell the people of jobs, and move the streams: last in a transaction, inbox rows ascending."""
    notices.tell(jobs, moved)
    for job in jobs:
        publish(job.stream, job.version, urgent=True)
        if job.state == State.PENDING and job.pending_reason in ACTIVE_REASONS and job.run_after is None:
            transaction.on_commit(_waking(job.queue), robust=True)


def _waking(queue: str) -> Callable[[], object]:
    return lambda: queues.wake(queue)  # a partial has no name, and Django logs that when one fails


def _wake_after_commit(queue: str) -> None:
    def wake() -> None:
        # Only whether something waits: a token that finds no slot ends quietly.
        if Job.objects.filter(queue=queue, state=State.PENDING, pending_reason__in=_READY).exists():
            queues.wake(queue)

    if not queues.looks_itself(queue):
        transaction.on_commit(wake, robust=True)
