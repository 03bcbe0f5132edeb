"""Items: a step's units, each one short transaction that ends with the fence and the item's own row.

The effects of an item and its `done` row commit together, so they are applied exactly once (DESIGN 4.3).
"""

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from config import texts
from config.statements import execute
from ingestion.failpoints import hit
from ingestion.interrupts import Fenced
from ingestion.models import ItemState, JobItem
from ingestion.settings import LEASE_SECONDS
from ingestion.source import SourceError

if TYPE_CHECKING:
    from ingestion.steps import StepHandle
    from realtime.streams import Versioned

# The end of an item, by which of the job's counts it raises: the fence and the item's own row.
_END = {
    count: f"""
        WITH fence AS (
            UPDATE ingestion_job SET version = version + 1, {count} = {count} + 1, crashes = 0,
                progress_at = clock_timestamp(),
                lease_until = clock_timestamp() + make_interval(secs => %s)
            WHERE id = %s AND lease_token = %s AND state = 'running'
            RETURNING version, cancel_requested_at
        ), done AS (
            UPDATE ingestion_jobitem i SET state = %s, error = %s, error_code = '',
                tries = i.tries + %s, result = %s, url = %s,
                started_at = clock_timestamp() - make_interval(secs => %s),
                finished_at = clock_timestamp(), version = fence.version
            FROM fence WHERE i.id = %s AND i.state IN ('pending', 'running') RETURNING 1
        ) SELECT fence.version, fence.cancel_requested_at, (SELECT count(*) FROM done) FROM fence
    """  # nosec B608  # our own words
    for count in ("items_done", "items_skipped")
}


class Own(threading.local):
    """What a run holds for each thread: the item it is in, and the rows that this one has changed."""

    def __init__(self) -> None:
        self.item: Item | None = None
        self.changed: dict[tuple[str, Any], Versioned] = {}


class Item:
    """One unit: `with item:` is one short transaction that ends with the fence and the item's row."""

    def __init__(
        self, step: "StepHandle", value: Any, key: str, label: str, row: int, tries: int = 0
    ) -> None:
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
        self._began: float | None = None

    def skip(self, reason: str) -> None:
        """End the item as skipped: there was nothing to do."""
        self.skipped = reason or "Skipped"

    def begin(self) -> None:
        """Note when the item's work began."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float | None:
        """Return the seconds since its work began: when that was is for the database's clock to say."""
        return None if self._began is None else time.monotonic() - self._began

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
        self.step.run.own.item = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        run = self.step.run
        try:
            if error is None:
                self._finish()
                hit("item.before_commit")
        except BaseException as failed:
            error = failed
        run.own.item = None
        if error is not None:
            run.forget_changes()
        try:
            self._atomic.__exit__(
                type(error) if error else None, error, error.__traceback__ if error else None
            )
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
        self.step.count_one()
        return True

    def _finish(self) -> None:
        """Write the item's end as the last statement of its transaction: fence and `done` row in one."""
        run = self.step.run
        run.raise_versions()
        hit("item.before_fence")
        rows = execute(
            _END["items_skipped" if self.skipped else "items_done"],
            [
                LEASE_SECONDS,
                run.id,
                run.token,
                ItemState.SKIPPED if self.skipped else ItemState.DONE,
                self.skipped[:500],
                self.tries + 1,
                None if self.result is None else json.dumps(self.result),
                self.url[:500],
                self.elapsed,
                self.row,
            ],
        )
        run.held(rows[0] if rows else None)
        if rows[0][2] != 1:
            raise Fenced  # it was done by somebody else: our effects must not stand beside theirs

    def _was_done(self) -> bool:
        # The COMMIT may have happened although its answer was lost: the row knows.
        states = (ItemState.DONE, ItemState.SKIPPED)
        return JobItem.objects.filter(pk=self.row, state__in=states).exists()


def described(error: BaseException) -> tuple[str, str]:
    """Return (code, sentence for the user) of a failure; what is not ours to tell stays in the attempt."""
    if isinstance(error, SourceError):
        return error.code, texts.marked(error.message)
    return "internal_error", "Something went wrong inside this source. The operator can see the details."


def _connection_lost(error: BaseException) -> bool:
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    try:
        return connection.connection is None or not connection.is_usable()
    except DatabaseError:
        return True
