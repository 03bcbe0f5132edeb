"""Looks at days, and looks that overlap."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ingestion.models import Job
from ingestion.sources.lifelogs import storing
from ingestion.sources.lifelogs.models import Account, Day
from ingestion.testing import run_inline


def sync(account: Account, day: str = "2026-11-18") -> Job:
    """Let a job read a day."""
    return run_inline("lifelogs", account.owner, account=account.pk, mode="day", date=day)


def the_day(account: Account, day: str = "2026-11-18") -> Day:
    """Return a day as it is stored."""
    return account.days.get(date=day)


@contextmanager
def overtaken(monkeypatch: pytest.MonkeyPatch, by: Callable[[], None]) -> Iterator[None]:
    """Let something happen after a job has looked at what is known, and before it asks the service."""
    known_ids = storing.known_ids

    def looked_up(*given: Any) -> Any:
        patch.setattr(storing, "known_ids", known_ids)
        known = known_ids(*given)
        by()
        return known

    with monkeypatch.context() as patch:
        patch.setattr(storing, "known_ids", looked_up)
        yield
