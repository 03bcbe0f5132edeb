"""Which days a job looks at."""

from datetime import date, datetime, timedelta

from django.conf import settings

from ingestion.source import SourceError
from ingestion.sources.lifelogs.models import Account, Day, Ingestion, ends
from ingestion.sources.lifelogs.storing import settle_time

OVERLAP = timedelta(hours=1)  # a sync begins so long before the beginning of the one before it
FIRST_DAYS = 7  # of the first sync of an account
LOOK_BACK = 2  # days that every sync looks at again, complete or not: recordings are mended and deleted
MOST_DAYS = 366  # of a job
MOST_PENDING = 120  # days of a sync that were left partial before
OLDEST = date(2000, 1, 1)


def today(account: Account, now: datetime) -> date:
    """Return the day of an account's owner."""
    return now.astimezone(account.local).date()


def of_sync(account: Account, now: datetime) -> list[date]:
    """Return what a scheduled sync looks at: since the one before it began, and what was left partial."""
    last = today(account, now)
    if account.synced_from is None:
        since = last - timedelta(days=FIRST_DAYS - 1)
    else:
        since = (account.synced_from - OVERLAP).astimezone(account.local).date()
    since = max(min(since, last - timedelta(days=LOOK_BACK)), last - timedelta(days=MOST_DAYS - 1))
    return sorted({*_each(since, last), *_partial(account, now)[-MOST_PENDING:]})


def of_day(account: Account, day: date, now: datetime) -> list[date]:
    """Return a day alone. Raises SourceError when it has not begun."""
    if day > today(account, now):
        raise SourceError("day_ahead", f"{day:%a} {day.day} {day:%b %Y} has not begun yet.")
    return [day]


def of_range(account: Account, start: date, end: date, now: datetime) -> list[date]:
    """Return the days from start to end, both included, as far as they have begun."""
    return _each(start, min(end, today(account, now)))


def of_month(account: Account, month: str, now: datetime) -> list[date]:
    """Return the days of a month 2026-11 as far as they have begun."""
    first = date.fromisoformat(f"{month}-01")
    following = (first + timedelta(days=31)).replace(day=1)
    return of_range(account, first, following - timedelta(days=1), now)


def incomplete(account: Account, now: datetime, weeks: int = 8) -> list[date]:
    """Return the days of the last weeks that are not complete, from a Monday on; today is one of them."""
    last = today(account, now)
    since = last - timedelta(days=7 * (weeks - 1) + last.weekday())
    complete = set(
        account.days.filter(date__gte=since, ingestion_status=Ingestion.COMPLETE).values_list(
            "date", flat=True
        )
    )
    return [day for day in _each(since, last) if day not in complete]


def settles_at(account: Account, day: date) -> datetime:
    """Return from when on a day can become complete, in UTC."""
    return ends(day, account.local) + settle_time()


def retry_days() -> int:
    """Return for how long a day that was left partial is looked at again by itself."""
    return int(settings.LIFELOGS_RETRY_DAYS)


def _partial(account: Account, now: datetime) -> list[date]:
    last = today(account, now)
    between = (last - timedelta(days=retry_days()), last)
    rows = Day.objects.filter(account=account, date__range=between, ingestion_status=Ingestion.PARTIAL)
    return list(rows.order_by("date").values_list("date", flat=True))


def _each(start: date, end: date) -> list[date]:
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]
