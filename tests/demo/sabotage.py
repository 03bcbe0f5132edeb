"""Switch one protection off, so that a test can show that it notices (negative controls).

HEADWAY_TEST_WITHOUT names those that are off for a process's whole life. HEADWAY_TEST_SWITCHES is a folder:
off are, at any moment, those protections that a file there is named after.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def _no_rescue() -> None:
    from ingestion.keeper import Keeper

    Keeper.rescue = lambda self: None  # type: ignore[method-assign]


def _no_wake() -> None:
    from ingestion.keeper import Keeper

    Keeper.wake = lambda self: None  # type: ignore[method-assign]


def _no_parent_report() -> None:
    from ingestion import worker

    worker.horse_ended = lambda *a, **k: None


def _no_fence() -> None:
    """Write without asking whether the lease is still held, and never lose heart."""
    from django.db import connection

    from ingestion import items, reporter, run
    from ingestion.models import Job, JobItem

    def fence(self: Any, columns: str = "", values: Any = (), *, progress: bool = True) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE ingestion_job SET {columns} version = version + 1 WHERE id = %s", [*values, self.id]
            )
        return 0

    def finish(self: Any) -> None:
        job_id = self.step.run.id
        JobItem.objects.filter(pk=self.row).update(state="done")
        done = JobItem.objects.filter(job=job_id, state="done").count()
        Job.objects.filter(pk=job_id).update(items_done=done)

    run.Run.fence = fence  # type: ignore[method-assign]
    items.Item._finish = finish  # type: ignore[method-assign]
    reporter.Reporter._beat = lambda self: None  # type: ignore[method-assign]


def _no_escalation() -> None:
    """Ask a job to stop and insist on nothing."""
    from ingestion.keeper import Keeper

    Keeper.escalate_cancels = lambda self: None  # type: ignore[method-assign]


def _no_session_end() -> None:
    from ingestion import keeper

    keeper.end_sessions = lambda token: 0


def _no_one_transaction() -> None:
    """Commit what an item writes before the item's own end."""
    from contextlib import nullcontext
    from types import SimpleNamespace

    from django.db import transaction

    from ingestion import items

    def atomic(durable: bool = False) -> Any:
        return nullcontext() if durable else transaction.atomic()

    items.transaction = SimpleNamespace(atomic=atomic)  # type: ignore[assignment]


def _no_company_slots() -> None:
    """Let as many companies come at once as there are workers in a test."""
    from ingestion.sources.companies.source import Companies

    Companies.limit = 4


def _no_cursor_check() -> None:
    """Take any cursor for one that we made."""
    from config import paging

    def read_cursor(scope: Any, text: str | None) -> Any:
        return None if text is None else int(text)

    paging.read_cursor = read_cursor


def _clock(hours: int) -> Callable[[], None]:
    """Let a process's own clock go wrong."""

    def apply() -> None:
        from datetime import timedelta

        from django.utils import timezone

        seconds, now = time.time, timezone.now
        time.time = lambda: seconds() + 3600 * hours
        timezone.now = lambda: now() + timedelta(hours=hours)

    return apply


LOOK_SECONDS = 0.005

SWITCHES: dict[str, Callable[[], None]] = {
    "rescue": _no_rescue,
    "wake": _no_wake,
    "parent_report": _no_parent_report,
    "fence": _no_fence,
    "session_end": _no_session_end,
    "escalation": _no_escalation,
    "one_transaction": _no_one_transaction,
    "company_slots": _no_company_slots,
    "clock_ahead": _clock(1),
    "clock_behind": _clock(-1),
    "cursor_check": _no_cursor_check,
}


class _Folder:
    """A folder that is looked into at most once in LOOK_SECONDS: each look lets other threads go first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: frozenset[str] = frozenset()
        self._until = 0.0

    def has(self, name: str) -> bool:
        """Say whether a file of this name is there."""
        now = time.monotonic()
        if now >= self._until:
            with suppress(OSError):  # a process without a free descriptor keeps what it knew
                self._names = frozenset(path.name for path in self._path.iterdir())
            self._until = now + LOOK_SECONDS
        return name in self._names


def apply() -> None:
    """Switch off what the environment names."""
    if folder := os.environ.get("HEADWAY_TEST_SWITCHES"):
        from tests.demo import switches

        switches.apply(_Folder(Path(folder)).has)
    for name in filter(None, os.environ.get("HEADWAY_TEST_WITHOUT", "").split(",")):
        SWITCHES[name]()
