"""Calendars of completeness: a cell for each day, in weeks that begin on Monday."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.urls import reverse

from ingestion.sources.lifelogs import spans
from ingestion.sources.lifelogs.models import Account, Day

WEEKS = 8  # beside a day
UNSEEN = "unknown"  # never looked at
WORDS = {
    "complete": "complete",
    "partial": "partial",
    "failed": "failed",
    UNSEEN: "not synced yet",
}


@dataclass(frozen=True)
class Cell:
    """A day in a calendar. version: of the day, for who paints it anew."""

    account: int
    date: date
    status: str
    version: int
    begun: bool = True

    @property
    def name(self) -> str:
        """Return what a link to it is called: "14 October, failed"."""
        return f"{self.date.day} {self.date:%B}, {WORDS[self.status]}"

    @property
    def url(self) -> str:
        """Return the path of the day's page."""
        return reverse("lifelogs:day", args=[self.account, self.date.isoformat()])


@dataclass(frozen=True)
class Week:
    """Seven cells, Monday first; None before the first and after the last day."""

    month: str  # beside the first week that begins in it
    cells: list[Cell | None]


@dataclass(frozen=True)
class Calendar:
    """Weeks of days, and how many days are in which state."""

    weeks: list[Week]
    counts: dict[str, int] = field(default_factory=dict)
    incomplete: int = 0  # days that a sync would look at


def last_weeks(account: Account, now: datetime, weeks: int = WEEKS) -> Calendar:
    """Return the last weeks up to the end of the current one."""
    today = spans.today(account, now)
    sunday = today + timedelta(days=6 - today.weekday())
    return _calendar(account, sunday - timedelta(days=7 * weeks - 1), sunday, now)


def year(account: Account, number: int, now: datetime) -> Calendar:
    """Return a year."""
    return _calendar(account, date(number, 1, 1), date(number, 12, 31), now)


def cell(account: Account, day: date, now: datetime) -> Cell:
    """Return one day."""
    return _cells(account, [day], now)[0]


def _calendar(account: Account, first: date, last: date, now: datetime) -> Calendar:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    cells: list[Cell | None] = [*([None] * first.weekday()), *_cells(account, days, now)]
    cells += [None] * (-len(cells) % 7)
    rows = [cells[n : n + 7] for n in range(0, len(cells), 7)]
    weeks: list[Week] = []
    month = ""
    for row in rows:
        oldest = min(one.date for one in row if one is not None)
        weeks.append(Week("" if f"{oldest:%b}" == month else f"{oldest:%b}", row))
        month = f"{oldest:%b}"
    found = Counter(one.status for one in cells if one is not None and one.begun)
    return Calendar(weeks, dict(found), len(spans.incomplete(account, now)))


def _cells(account: Account, days: Iterable[date], now: datetime) -> list[Cell]:
    wanted, today = list(days), spans.today(account, now)
    rows = {row.date: row for row in account.days.filter(date__in=wanted)}
    return [_cell(account.pk, day, rows.get(day), today) for day in wanted]


def _cell(account: int, day: date, row: Day | None, today: date) -> Cell:
    if row is None:
        return Cell(account, day, UNSEEN, 0, day <= today)
    status = "failed" if row.trouble and not row.is_complete else str(row.ingestion_status)
    return Cell(account, day, status, row.version, day <= today)
