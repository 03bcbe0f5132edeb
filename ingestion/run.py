"""What an author's code holds while it runs: steps, items, `once`, `wait_for`, `changed`.

The author's thread changes memory only; `reporter.py` writes figures, `items.py` the items,
`steps.py` counts.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from ingestion.answers import fits, name_of
from ingestion.failpoints import hit
from ingestion.history import Note
from ingestion.interrupts import POLL_SECONDS, Cancelled, Fenced, Interrupt, Waiting
from ingestion.items import Own
from ingestion.models import Job, Level
from ingestion.settings import LEASE_SECONDS
from ingestion.source import Source
from ingestion.steps import StepHandle
from realtime.publish import publish

T = TypeVar("T")


class Run:
    """One attempt, as the author sees it."""

    def __init__(self, job: Job, source: Source, token: UUID) -> None:
        self.id = job.pk
        self._job = job
        self.source = source
        self.token = token
        self.attempt = job.attempt
        self.memo: dict[str, Any] = dict(job.memo)
        self.careful = (
            job.crashes > 0
        )  # after a crash: one item at a time, each written down before its fetch
        self.message = ""
        self.steps: dict[str, StepHandle] = {
            name: StepHandle(self, name, values) for name, values in job.steps.items()
        }
        self.notes: deque[Note] = deque()
        self.interrupt: type[Interrupt] | None = None  # set by the reporter, a signal or a fence
        self.own = Own()
        self._asked: Counter[str] = Counter()  # questions of each kind so far

    @property
    def owner(self) -> Any:
        """Return the user whose job it is."""
        return self._job.owner

    # -- what authors call --

    @contextmanager
    def step(self, name: str, message: str = "") -> Iterator[StepHandle]:
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
        hit("step.before_end")
        new = handle.leave()
        self._write({"steps": self.steps_json()}, ["steps"], progress=new)

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
        if not fits(memo):
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
        self._write(values | ({"subject": subject[:200]} if subject else {}), [], progress=False)

    def changed(self, obj: Any) -> None:
        """Raise the version of a row that open pages watch; inside an item it commits with the item."""
        self.own.changed[(obj.stream, obj.pk)] = obj
        if self.own.item is None:
            with transaction.atomic():
                self.raise_versions()

    def log(self, message: str, level: str = Level.INFO, **data: Any) -> None:
        """Add a line to the job's history."""
        self.notes.append(Note("log", message, level, data))

    def checkpoint(self) -> None:
        """End the attempt here if it was cancelled, released or has lost its lease."""
        if self.interrupt is not None:
            raise self.interrupt

    def wait_for(self, kind: str, text: str) -> dict[str, Any]:
        """End the attempt until a person has answered; then return {answer, data, by, at}.

        kind: "review" or "upload". text: what is asked, one sentence. The n-th question of a kind gets the
        n-th answer of that kind, in every attempt.
        """
        self._outside_item("wait_for")
        self._asked[kind] += 1
        answer = self.memo.get(name_of(kind, self._asked[kind]))
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
        return (
            min(1.0, sum(step.weight * step.share() for step in self.steps.values()) / whole)
            if whole
            else 0.0
        )

    def units(self) -> tuple[int, int | None]:
        """Return (done, remaining) items and tracked units of the steps; None when a total is not known."""
        active = [step for step in self.steps.values() if step.state == "running"]
        done = sum(step.count() for step in self.steps.values())
        if not active or any(step.total is None for step in active):
            return done, None
        return done, sum((step.total or 0) - step.count() for step in active)

    def fence(self, columns: str = "", values: Iterable[Any] = (), *, progress: bool = True) -> int:
        """Prove in the current transaction that the lease is ours; return the job's new version.

        It locks the job's row, so it comes last: taken first, a slow item would block the reporter.
        progress: something finished that was not finished before, so the count of crashes begins anew.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE ingestion_job SET version = version + 1, {'crashes = 0, ' * progress}{columns}"  # nosec B608  # our own words
                " progress_at = clock_timestamp(),"
                " lease_until = clock_timestamp() + make_interval(secs => %s)"
                " WHERE id = %s AND lease_token = %s AND state = 'running'"
                " RETURNING version, cancel_requested_at",
                [*values, LEASE_SECONDS, self.id, self.token],
            )
            row = cursor.fetchone()
        return self.held(row)

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

    def held(self, row: tuple[Any, ...] | None) -> int:
        """Return the version that a fenced statement returned; raise Fenced when it met no row."""
        if row is None:
            self.interrupt = Fenced
            raise Fenced
        if row[1] is not None and self.interrupt is None:
            self.interrupt = Cancelled
        return int(row[0])

    def _write(self, columns: Mapping[str, Any], json_columns: list[str], *, progress: bool = True) -> None:
        sets = "".join(f"{name} = %s, " for name in columns)
        values = [json.dumps(value) if name in json_columns else value for name, value in columns.items()]
        with transaction.atomic():
            version = self.fence(sets, values, progress=progress)
            publish(f"job:{self.id}", version)

    def forget_changes(self) -> None:
        """Drop what an item that was rolled back said it had changed."""
        self.own.changed.clear()

    def raise_versions(self) -> None:
        """Add one to the version of every row that was said to have changed, in lock order."""
        changed, self.own.changed = sorted(self.own.changed.items(), key=lambda pair: pair[0]), {}
        for (stream, pk), obj in changed:
            publish(stream, type(obj).moved(pk))

    def _outside_item(self, what: str) -> None:
        if self.own.item is not None:
            raise RuntimeError(f"{what} inside an item would lock the job's row early; do it before or after")
