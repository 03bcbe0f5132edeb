"""What an author's code holds while it runs: steps, items, `once`, `wait_for`, `changed`.

The author's thread changes memory only; `reporter.py` writes figures. Item effects and the item's `done` row are
one transaction that ends with the fence, so they are applied exactly once (DESIGN 4.3).
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections, models, transaction
from django.db.models import F
from django.utils import timezone

from ingestion.failpoints import hit
from ingestion.lifecycle import Note
from ingestion.models import ItemState, Job, JobItem, Level
from ingestion.settings import LEASE_SECONDS, MAX_ITEMS
from ingestion.source import Source, SourceError
from realtime.publish import publish

T = TypeVar("T")

MEMO_BYTES = 64 * 1024
CHUNK = 1000  # item rows per INSERT
POLL_SECONDS = 0.2  # how soon a waiting attempt hears that it should stop
OPEN_ITEM = (ItemState.PENDING, ItemState.RUNNING)


class Interrupt(BaseException):
    """Why an attempt must end now. Not an Exception, so that `except Exception` of authors cannot swallow it."""


class Cancelled(Interrupt):
    """Somebody asked for it."""


class Fenced(Interrupt):
    """The lease is somebody else's: nothing may be written any more."""


class Released(Interrupt):
    """The worker was told to stop: the job goes on elsewhere."""


class Waiting(Interrupt):
    """A person must answer first."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind)
        self.kind, self.text = kind, text


class Run:
    """One attempt, as the author sees it."""

    def __init__(self, job: Job, source: Source, token: UUID) -> None:
        self.id = job.pk
        self.owner = job.owner
        self.source = source
        self.token = token
        self.attempt = job.attempt
        self.memo: dict[str, Any] = dict(job.memo)
        self.careful = job.crashes > 0  # after a crash: one item at a time, each written down before its fetch
        self.message = ""
        self.steps: dict[str, StepHandle] = {
            name: StepHandle(self, name, values) for name, values in job.steps.items()
        }
        self.notes: deque[Note] = deque()
        self.interrupt: type[Interrupt] | None = None  # set by the reporter, a signal or a fence
        self._item: Item | None = None
        self._changed: dict[tuple[str, Any], models.Model] = {}

    # -- what authors call --

    @contextmanager
    def step(self, name: str, message: str = "") -> "Iterator[StepHandle]":
        """Enter a phase. Name one of the source's steps, or a new one where it declares none."""
        self._outside_item("step")
        self.checkpoint()
        if name not in self.steps:
            if self.source.steps:
                raise ValueError(f"{self.source.kind} declares no step {name!r}")
            self.steps[name] = StepHandle(self, name, {"label": name.capitalize(), "weight": 1.0})
        handle = self.steps[name]
        handle.enter()
        self.message = message or handle.label
        yield handle
        handle.leave()
        hit("step.before_end")
        self._write({"steps": self.steps_json()}, ["steps"])

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time, in whatever attempt that was. It must be JSON.

        Raises ValueError when a job remembers more than 64 KB.
        """
        self._outside_item("once")
        if name in self.memo:
            return self.memo[name]  # type: ignore[no-any-return]
        self.checkpoint()
        value = make()
        memo = {**self.memo, name: value}
        if len(json.dumps(memo).encode()) > MEMO_BYTES:
            raise ValueError(f"once({name!r}): a job may remember at most 64 KB")
        hit("once.before_write")
        self._write({"memo": memo}, ["memo"])
        hit("once.after_write")
        self.memo = memo
        return value

    def about(self, obj: Any, subject: str = "") -> None:
        """Say what the job is about: a row that is a stream, or a stream's name."""
        self._outside_item("about")
        values = {"object": obj if isinstance(obj, str) else obj.stream}
        self._write(values | ({"subject": subject[:200]} if subject else {}), [])

    def changed(self, obj: Any) -> None:
        """Raise the version of a row that open pages watch; inside an item it commits with the item."""
        self._changed[(obj.stream, obj.pk)] = obj
        if self._item is None:
            with transaction.atomic():
                self._raise_versions()

    def log(self, message: str, level: str = Level.INFO, **data: Any) -> None:
        """Add a line to the job's history."""
        self.notes.append(Note("log", message, level, data))

    def checkpoint(self) -> None:
        """End the attempt here if it was cancelled, released or has lost its lease."""
        if self.interrupt is not None:
            raise self.interrupt

    def wait_for(self, kind: str, text: str) -> dict[str, Any]:
        """End the attempt until a person has answered; then return {answer, data, by, at}.

        kind: "review" or "upload". text: what is asked, one sentence.
        """
        self._outside_item("wait_for")
        answer = self.memo.get(f"answer:{kind}")
        if answer is None:
            raise Waiting(kind, text)
        return dict(answer)

    def sleep(self, seconds: float) -> None:
        """Wait, and stop waiting when the attempt must end."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.checkpoint()
            time.sleep(min(left, POLL_SECONDS))

    # -- what the engine calls --

    def steps_json(self) -> dict[str, Any]:
        """Return the steps as the row stores them."""
        return {name: step.as_json() for name, step in self.steps.items()}

    def progress(self) -> float:
        """Return the weighted share of the steps that is done, 0 to 1."""
        whole = sum(step.weight for step in self.steps.values())
        return min(1.0, sum(step.weight * step.share() for step in self.steps.values()) / whole) if whole else 0.0

    def units(self) -> tuple[int, int | None]:
        """Return (done, remaining) items and tracked units of the steps; None when a total is not known."""
        active = [step for step in self.steps.values() if step.state == "running"]
        done = sum(step.count() for step in self.steps.values())
        if not active or any(step.total is None for step in active):
            return done, None
        return done, sum((step.total or 0) - step.count() for step in active)

    def fence(self, columns: str = "", values: Iterable[Any] = ()) -> int:
        """Prove in the current transaction that the lease is ours; return the job's new version.

        It locks the job's row, so it comes last: taken first, a slow item would block the reporter.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE ingestion_job SET version = version + 1, crashes = 0, {columns}"  # noqa: S608
                " progress_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => %s)"
                " WHERE id = %s AND lease_token = %s AND state = 'running' RETURNING version, cancel_requested_at",
                [*values, LEASE_SECONDS, self.id, self.token],
            )
            row = cursor.fetchone()
        return self._held(row)

    def finish_item(self, item: "Item") -> None:
        """Write the item's end as the last statement of its transaction: fence and `done` row in one."""
        self._raise_versions()
        hit("item.before_fence")
        count = "items_skipped" if item.skipped else "items_done"
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH fence AS (
                    UPDATE ingestion_job SET version = version + 1, {count} = {count} + 1, crashes = 0,
                        progress_at = clock_timestamp(),
                        lease_until = clock_timestamp() + make_interval(secs => %s)
                    WHERE id = %s AND lease_token = %s AND state = 'running'
                    RETURNING version, cancel_requested_at
                ), done AS (
                    UPDATE ingestion_jobitem i SET state = %s, error = %s, error_code = '', tries = i.tries + %s,
                        result = %s, url = %s, started_at = %s, finished_at = clock_timestamp(),
                        version = fence.version
                    FROM fence WHERE i.id = %s AND i.state IN ('pending', 'running') RETURNING 1
                ) SELECT fence.version, fence.cancel_requested_at, (SELECT count(*) FROM done) FROM fence
                """,  # noqa: S608
                [
                    LEASE_SECONDS,
                    self.id,
                    self.token,
                    ItemState.SKIPPED if item.skipped else ItemState.DONE,
                    item.skipped[:500],
                    item.tries + 1,
                    None if item.result is None else json.dumps(item.result),
                    item.url[:500],
                    item.started_at,
                    item.row,
                ],
            )
            row = cursor.fetchone()
        self._held(row)
        if row[2] != 1:
            raise Fenced  # it was done by somebody else: our effects must not stand beside theirs

    def await_database(self) -> None:
        """Return when the database answers again; the reporter ends the process if that takes too long."""
        while True:
            self.checkpoint()
            try:
                connection.close_if_unusable_or_obsolete()
                connection.ensure_connection()
                if connection.is_usable():
                    return
                connection.close()
            except (OperationalError, InterfaceError):
                connection.close()
            time.sleep(POLL_SECONDS)

    def _held(self, row: tuple[Any, ...] | None) -> int:
        if row is None:
            self.interrupt = Fenced
            raise Fenced
        if row[1] is not None and self.interrupt is None:
            self.interrupt = Cancelled
        return int(row[0])

    def _write(self, columns: Mapping[str, Any], json_columns: list[str]) -> None:
        sets = "".join(f"{name} = %s, " for name in columns)
        values = [json.dumps(value) if name in json_columns else value for name, value in columns.items()]
        with transaction.atomic():
            version = self.fence(sets, values)
            publish(f"job:{self.id}", version)

    def _raise_versions(self) -> None:
        changed, self._changed = sorted(self._changed.items(), key=lambda pair: pair[0]), {}
        for (stream, pk), obj in changed:
            rows = type(obj)._base_manager.filter(pk=pk)
            rows.update(version=F("version") + 1)
            publish(stream, rows.values_list("version", flat=True).get())

    def _outside_item(self, what: str) -> None:
        if self._item is not None:
            raise RuntimeError(f"{what} inside an item would lock the job's row early; do it before or after")


class StepHandle:
    """A phase that is being worked on."""

    def __init__(self, run: Run, name: str, values: Mapping[str, Any]) -> None:
        self.run = run
        self.name = name
        self.label: str = values["label"]
        self.weight: float = values["weight"]
        self.state: str = values.get("state", "pending")
        self.started_at: str | None = values.get("started_at")
        self.finished_at: str | None = values.get("finished_at")
        self.total: int | None = values.get("total")
        self._done: int = values.get("done", 0)
        self._counter: Callable[[], int] | None = None

    def enter(self) -> None:
        """Mark the step as running."""
        if self.state != "completed":
            self.state, self.finished_at = "running", None
        self.started_at = self.started_at or timezone.now().isoformat()

    def leave(self) -> None:
        """Mark the step as completed."""
        self._done, self._counter = self.count(), None
        self.state, self.finished_at = "completed", self.finished_at or timezone.now().isoformat()

    def message(self, text: str) -> None:
        """Say what happens now."""
        self.run.message = text

    def count(self) -> int:
        """Return how many units are done; read by the reporter's thread."""
        return self._done if self._counter is None else self._counter()

    def share(self) -> float:
        """Return the done share of this step, 0 to 1."""
        if self.state == "completed":
            return 1.0
        return min(1.0, self.count() / self.total) if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the step as the row stores it."""
        return {
            "label": self.label,
            "weight": self.weight,
            "state": self.state,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "done": self.count(),
            "total": self.total,
        }

    def track(self, values: Iterable[T], total: int | None = None) -> Iterator[T]:
        """Count while iterating: no rows, no resume, next to no cost. Cancel is seen at the next checkpoint.

        total: how many there are, when `values` does not know.
        """
        self._done = 0
        if isinstance(values, list | tuple | range | dict | set | frozenset):
            size = self.total = len(values)
            iterator = iter(values)
            # The iterator knows what is left; the reporter asks it, the loop pays nothing.
            self._counter = lambda: size - iterator.__length_hint__()  # type: ignore[attr-defined]
            return iterator
        self.total = total
        numbered = enumerate(values)
        self._counter = lambda: int(numbered.__reduce__()[1][1])  # type: ignore[misc]
        return map(itemgetter(1), numbered)

    def items(
        self,
        values: Iterable[T],
        *,
        key: Callable[[T], Any],
        label: Callable[[T], str] | None = None,
        fetch: Callable[[T], Any] | None = None,
        threads: int = 1,
    ) -> "Iterator[Item]":
        """Yield what is left to do, each to be used as `with item:`.

        key: what makes a value the same in every attempt. label: for people. fetch: the slow part, run ahead in
        `threads` threads outside any transaction; its result is `item.fetched`. Failures of an item are recorded
        and the loop goes on; retryable ones are tried again at the end of the pass.
        """
        left = self._register(list(islice(values, MAX_ITEMS + 1)), key, label)
        hit("items.registered")
        waits = self.run.source.item_waits
        for number in range(len(waits) + 1):
            again: list[Item] = []
            last = number == len(waits)
            for item in self._ahead(left, fetch, threads):
                self.run.checkpoint()
                self.run.message = item.label
                if item.error is None:
                    yield item
                    if not item.entered:
                        raise RuntimeError("use the item: `with item:`")
                if item.error is not None and not self._settle_failure(item, last):
                    again.append(item)
            if not again:
                return
            self.run.sleep(max([waits[number], *(item.retry_after for item in again)]))
            left = [Item(self, item.value, item.key, item.label, item.row, item.tries) for item in again]

    def _register(
        self, values: list[T], key: Callable[[T], Any], label: Callable[[T], str] | None
    ) -> "list[Item]":
        if len(values) > MAX_ITEMS:
            raise SourceError("too_many_items", f"A job may have at most {MAX_ITEMS:,} items.")
        by_key = {}
        for value in values:
            by_key.setdefault(str(key(value))[:300], value)
        rows = self.run_rows()
        base = max((row.ordinal for row in rows.values()), default=-1) + 1
        new = [
            JobItem(
                job_id=self.run.id,
                step=self.name,
                key=one,
                label=(label(value) if label else one)[:300],
                ordinal=base + n,
            )
            for n, (one, value) in enumerate((k, v) for k, v in by_key.items() if k not in rows)
        ]
        gone = [row.pk for one, row in rows.items() if one not in by_key and row.state in OPEN_ITEM]
        with transaction.atomic():
            JobItem.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
            JobItem.objects.filter(pk__in=gone).update(state=ItemState.SKIPPED, error="No longer listed.")
            self.run.fence("items_total = items_total + %s, items_skipped = items_skipped + %s,", [len(new), len(gone)])
        rows = self.run_rows() if new else rows
        self.total = len(rows)
        self._done = sum(row.state not in OPEN_ITEM for row in rows.values())
        todo = sorted((r for r in rows.values() if r.state in OPEN_ITEM and r.key in by_key), key=lambda r: r.ordinal)
        return [Item(self, by_key[row.key], row.key, row.label, row.pk) for row in todo]

    def run_rows(self) -> dict[str, JobItem]:
        """Return the step's item rows by key."""
        rows = JobItem.objects.filter(job=self.run.id, step=self.name)
        return {row.key: row for row in rows.only("key", "label", "ordinal", "state")}

    def _ahead(
        self, items: "list[Item]", fetch: Callable[[Any], Any] | None, threads: int
    ) -> "Iterator[Item]":
        if fetch is None or self.run.careful:
            for item in items:
                self._suspect(item)
                item.begin()
                if fetch is not None:
                    item.take(lambda item=item: fetch(item.value))
                yield item
            return
        with _pool(threads) as pool:
            waiting: deque[tuple[Item, Future[Any]]] = deque()
            upcoming = iter(items)
            while True:
                for item in islice(upcoming, 2 * threads - len(waiting)):
                    item.begin()
                    waiting.append((item, pool.submit(_closing_connections, fetch, item.value)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                while not future.done() and self.run.interrupt is None:
                    _wait(future)
                self.run.checkpoint()
                item.take(future.result)
                yield item

    def _suspect(self, item: "Item") -> None:
        if self.run.careful:  # if this attempt dies too, the next reader knows at which item
            with transaction.atomic():
                JobItem.objects.filter(pk=item.row).update(state=ItemState.RUNNING, crashes=F("crashes") + 1)
                self._touch_lease()

    def _touch_lease(self) -> None:
        held = Job.objects.filter(pk=self.run.id, lease_token=self.run.token).exists()
        if not held:
            raise Fenced

    def _settle_failure(self, item: "Item", last: bool) -> bool:
        """Record a failure that will not be tried again. Return False when it will be."""
        error = item.error
        if error is None or (item.retryable and not last):
            return False
        code, text = described(error)
        hit("item.before_failure")
        with transaction.atomic():
            version = self.run.fence("items_failed = items_failed + 1,")
            JobItem.objects.filter(pk=item.row, state__in=OPEN_ITEM).update(
                state=ItemState.FAILED,
                error_code=code[:50],
                error=text[:500],
                tries=item.tries,
                started_at=item.started_at,
                finished_at=timezone.now(),
                version=version,
            )
        self._done += 1
        self.run.notes.append(
            Note("item_failed", f"{item.label}: {text}", Level.ERROR, {"key": item.key, "code": code})
        )
        return True


class Item:
    """One unit: `with item:` is one short transaction that ends with the fence and the item's row."""

    def __init__(self, step: StepHandle, value: Any, key: str, label: str, row: int, tries: int = 0) -> None:
        self.step = step
        self.value = value
        self.key = key
        self.label = label
        self.row = row
        self.tries = tries
        self.fetched: Any = None
        self.result: Any = None  # JSON, kept with the item
        self.url = ""
        self.skipped = ""
        self.error: BaseException | None = None
        self.entered = False
        self.started_at: Any = None

    def skip(self, reason: str) -> None:
        """End the item as skipped: there was nothing to do."""
        self.skipped = reason or "Skipped"

    def begin(self) -> None:
        """Note when the item's work began."""
        self.started_at = timezone.now()

    def take(self, fetched: Callable[[], Any]) -> None:
        """Hold what was fetched, or why it could not be."""
        try:
            self.fetched = fetched()
        except Exception as error:
            self.error = error
            self.tries += 1

    @property
    def retryable(self) -> bool:
        """Say whether trying again may help."""
        return self.error.retryable if isinstance(self.error, SourceError) else True

    @property
    def retry_after(self) -> float:
        """Return the seconds that the other side asked for, else 0."""
        return (self.error.retry_after or 0.0) if isinstance(self.error, SourceError) else 0.0

    def __enter__(self) -> "Item":
        self.entered = True
        hit("item.before_body")
        self._atomic = transaction.atomic(durable=True)
        self._atomic.__enter__()
        self.step.run._item = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        run = self.step.run
        try:
            if error is None:
                run.finish_item(self)
                hit("item.before_commit")
        except BaseException as failed:
            error = failed
        run._item = None
        if error is not None:
            run._changed.clear()
        try:
            self._atomic.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except DatabaseError as failed:
            error = error or failed
        if error is None:
            hit("item.after_commit")
        elif not isinstance(error, Exception):
            raise error
        elif _connection_lost(error):
            run.await_database()
            if not self._was_done():
                self.error = error  # not the item's fault: no try is counted
                return True
        else:
            self.error = error
            self.tries += 1
            return True
        self.step._done += 1
        return True

    def _was_done(self) -> bool:
        # The COMMIT may have happened although its answer was lost: the row knows.
        states = (ItemState.DONE, ItemState.SKIPPED)
        return JobItem.objects.filter(pk=self.row, state__in=states).exists()


def described(error: BaseException) -> tuple[str, str]:
    """Return (code, sentence for the user) of a failure; what is not ours to tell stays in the attempt."""
    if isinstance(error, SourceError):
        return error.code, error.message
    return "internal_error", "Something went wrong inside this source. The operator can see the details."


def _connection_lost(error: BaseException) -> bool:
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    try:
        return connection.connection is None or not connection.is_usable()
    except DatabaseError:
        return True


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _closing_connections(fetch: Callable[[Any], Any], value: Any) -> Any:
    try:
        return fetch(value)
    finally:
        connections.close_all()


def _wait(future: "Future[Any]") -> None:
    try:
        future.exception(timeout=POLL_SECONDS)
    except TimeoutError:
        return
