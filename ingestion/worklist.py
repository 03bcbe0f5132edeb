"""The list of a step's items: written down first, then worked through, pass by pass.

`items.py` has the single item.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F

from config.statements import execute
from ingestion.clock import ClockTimestamp
from ingestion.failpoints import hit
from ingestion.fetchers import fetchers
from ingestion.history import Note
from ingestion.interrupts import POLL_SECONDS, Fenced
from ingestion.items import Item, described
from ingestion.models import ItemState, Job, JobItem, Level
from ingestion.settings import MAX_ITEMS
from ingestion.side_by_side import side_by_side
from ingestion.source import SourceError

if TYPE_CHECKING:
    from ingestion.steps import StepHandle

OPEN_ITEM = (ItemState.PENDING, ItemState.RUNNING)
# All rows of a step at once: made as objects, they cost more than what is done to most of them later.
_REGISTER = """
    INSERT INTO ingestion_jobitem (job_id, step, key, label, ordinal, state,
                                   error_code, error, tries, crashes, url, version)
    SELECT %s, %s, new.key, new.label, %s + new.n - 1, 'pending', '', '', 0, 0, '', 0
    FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS new(key, label, n)
    ON CONFLICT DO NOTHING
"""


class Worklist:
    """The items of one step: their rows are written first, then worked through, pass by pass."""

    def __init__(
        self,
        step: "StepHandle",
        key: Callable[[Any], Any],
        label: Callable[[Any], str] | None,
        fetch: Callable[[Any], Any] | None,
        threads: int,
        do: Callable[[Any], Any] | None = None,
    ) -> None:
        self.step, self.run = step, step.run
        self.key, self.label, self.fetch, self.threads, self.do = key, label, fetch, threads, do

    def work(self, values: Iterable[Any]) -> Iterator[Item]:
        """Yield what is left to do; retryable failures come again at the end of the pass."""
        left = self._register(list(values))
        hit("items.registered")
        waits = self.run.source.item_waits
        for number in range(len(waits) + 1):
            again: list[Item] = []
            last = number == len(waits)
            for item in self._ahead(left) if self.do is None else self._done(self.do, left):
                self.run.checkpoint()
                self.run.message = item.label
                if item.error is None and self.do is None:
                    yield item
                    if not item.entered:
                        raise RuntimeError("use the item: `with item:`")
                    item.fetched = None  # the list of items lives as long as the step
                if item.error is not None and not self._settle_failure(item, last):
                    self._clear(item)
                    again.append(item)
            if not again:
                return
            self.run.sleep(max([waits[number], *(item.retry_after for item in again)]))
            left = [Item(self.step, item.value, item.key, item.label, item.row, item.tries) for item in again]

    def _register(self, values: list[Any]) -> list[Item]:
        if len(values) > MAX_ITEMS:
            raise SourceError("too_many_items", f"A job may have at most {MAX_ITEMS:,} items.")
        by_key: dict[str, Any] = {}
        for value in values:
            by_key.setdefault(str(self.key(value))[:300], value)
        rows = self.rows()
        base = max((row.ordinal for row in rows.values()), default=-1) + 1
        new = {
            one: (self.label(value) if self.label else one)[:300]
            for one, value in by_key.items()
            if one not in rows
        }
        gone = [row.pk for one, row in rows.items() if one not in by_key and row.state in OPEN_ITEM]
        with transaction.atomic():
            if new:
                execute(_REGISTER, [self.run.id, self.step.name, base, list(new), list(new.values())])
            version = self.run.fence(
                "items_total = items_total + %s, items_skipped = items_skipped + %s,",
                [len(new), len(gone)],
                progress=False,
            )
            left = {"state": ItemState.SKIPPED, "error": "No longer listed.", "version": version}
            JobItem.objects.filter(pk__in=gone).update(**left)
        rows = self.rows() if new else rows
        self.step.total = len(rows)
        self.step.finished = sum(row.state not in OPEN_ITEM for row in rows.values())
        todo = sorted(
            (r for r in rows.values() if r.state in OPEN_ITEM and r.key in by_key), key=lambda r: r.ordinal
        )
        return [Item(self.step, by_key[row.key], row.key, row.label, row.pk) for row in todo]

    def rows(self) -> dict[str, Any]:
        """Return the step's item rows by key: each with pk, key, label, ordinal and state."""
        rows = JobItem.objects.filter(job=self.run.id, step=self.step.name)
        columns = rows.values_list("pk", "key", "label", "ordinal", "state", named=True)
        return {row.key: row for row in columns}

    def _ahead(self, items: list[Item]) -> Iterator[Item]:
        fetch, threads = self.fetch, self.threads
        if fetch is None or self.run.careful:
            for item in items:
                self._suspect(item)
                item.begin()
                if fetch is not None:
                    item.take(partial(fetch, item.value))
                yield item
            return
        with fetchers(fetch, threads) as ahead:
            waiting: deque[tuple[Item, Future[Any]]] = deque()
            upcoming = iter(items)
            while True:
                for item in islice(upcoming, 2 * threads - len(waiting)):
                    item.begin()
                    waiting.append((item, ahead.submit(item.value)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                while not future.done() and self.run.interrupt is None:
                    _wait(future)
                self.run.checkpoint()
                item.take(future.result)
                yield item

    def _done(self, do: Callable[[Any], Any], items: list[Item]) -> Iterator[Item]:
        """Yield the items as they have ended, several at a time, each in its thread's own session."""
        if not self.run.careful and min(self.threads, len(items)) > 1:
            for item in side_by_side(partial(_do_aside, do), items, self.threads, self.run.checkpoint):
                if item.error is not None:  # which may have to be written
                    self.run.await_database()
                yield item
            self.run.await_database()  # our own session was idle meanwhile: it may have been ended
            return
        for item in items:
            self.run.checkpoint()
            self._suspect(item)
            _do(do, item)
            yield item

    def _suspect(self, item: Item) -> None:
        if self.run.careful:  # if this attempt dies too, the next reader knows at which item
            with transaction.atomic():
                JobItem.objects.filter(pk=item.row).update(state=ItemState.RUNNING, crashes=F("crashes") + 1)
                self._touch_lease()

    def _clear(self, item: Item) -> None:
        if self.run.careful:  # it failed and the process lives: the next crash is not its fault
            with transaction.atomic():
                JobItem.objects.filter(pk=item.row, state=ItemState.RUNNING).update(
                    state=ItemState.PENDING, crashes=F("crashes") - 1
                )
                self._touch_lease()

    def _touch_lease(self) -> None:
        held = Job.objects.select_for_update().filter(pk=self.run.id, lease_token=self.run.token).first()
        if not held:
            raise Fenced

    def _settle_failure(self, item: Item, last: bool) -> bool:
        """Record a failure that will not be tried again. Return False when it will be."""
        error = item.error
        if error is None or (item.retryable and not last):
            return False
        code, text = described(error)
        hit("item.before_failure")
        with transaction.atomic():
            version = self.run.fence("items_failed = items_failed + 1,")
            written = JobItem.objects.filter(pk=item.row, state__in=OPEN_ITEM).update(
                state=ItemState.FAILED,
                error_code=code[:50],
                error=text[:500],
                tries=item.tries,
                started_at=ClockTimestamp() - timedelta(seconds=item.elapsed or 0.0),
                finished_at=ClockTimestamp(),
                version=version,
            )
            if not written:  # somebody else settled it; our count must not stand beside theirs
                raise Fenced
        self.step.count_one()
        self.run.notes.append(
            Note("item_failed", f"{item.label}: {text}", Level.ERROR, {"key": item.key, "code": code})
        )
        return True


def _do(do: Callable[[Any], Any], item: Item) -> None:
    item.begin()
    with item:
        item.result = do(item.value)


def _do_aside(do: Callable[[Any], Any], item: Item) -> None:
    if not connection.is_usable():  # this thread's session is not begun yet, or was ended since
        item.step.run.await_database()
    _do(do, item)


def _wait(future: "Future[Any]") -> None:
    try:
        future.exception(timeout=POLL_SECONDS)
    except TimeoutError:
        return
