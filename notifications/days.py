"""Days and times as an inbox says them. times.js has the same words, for the reader's own zone."""

from datetime import UTC, datetime, time, timedelta

MORNING = time(9)  # when tomorrow and Monday begin for somebody who put something off
CHOICES = ("hour", "tomorrow", "monday")
SUNDAY = 6


def group(at: datetime, now: datetime) -> str:
    """Return the heading under which a row stands. at, now: in the reader's zone."""
    days = (now.date() - at.date()).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days <= now.weekday():
        return "Earlier this week"
    return f"{at:%B}" if at.year == now.year else f"{at:%B %Y}"


def row(at: datetime, now: datetime) -> str:
    """Return the time beside a row: an age today, a clock after that, at last a date."""
    # Within one zone, subtracting compares clocks on the wall: an hour off where summer time began or ended.
    seconds = max(0, int((now.astimezone(UTC) - at.astimezone(UTC)).total_seconds()))
    days = (now.date() - at.date()).days
    if days <= 0:
        if seconds < 60:
            return f"{seconds} s"
        return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"
    if days == 1:
        return f"{at:%H:%M}"
    if days <= now.weekday():
        return f"{at:%a %H:%M}"
    return _date(at, now)


def until(at: datetime, now: datetime) -> str:
    """Return when something put off comes back: 15:04, tomorrow 09:00, Monday 09:00, 17 Nov 09:00."""
    days = (at.date() - now.date()).days
    if days <= 0:
        return f"{at:%H:%M}"
    day = "tomorrow" if days == 1 else f"{at:%A}" if days < 7 else _date(at, now)
    return f"{day} {at:%H:%M}"


def since(at: datetime, now: datetime) -> str:
    """Return since when something was put off: 15:04, yesterday, Tuesday, 17 Nov."""
    days = (now.date() - at.date()).days
    if days <= 0:
        return f"{at:%H:%M}"
    return "yesterday" if days == 1 else f"{at:%A}" if days < 7 else _date(at, now)


def choices(now: datetime) -> tuple[str, ...]:
    """Return what `wake` offers that differs: on a Sunday, Monday is tomorrow. now: in the reader's zone."""
    return tuple(one for one in CHOICES if one != "monday" or now.weekday() != SUNDAY)


def wake(choice: str, now: datetime) -> datetime:
    """Return when a row comes back: an hour from now, or 09:00 tomorrow or on the next Monday.

    now: in the reader's zone, whose 09:00 is meant. Raises ValueError for any other choice.
    """
    if choice == "hour":
        return now + timedelta(hours=1)
    if choice not in CHOICES:
        raise ValueError(choice)
    days = 1 if choice == "tomorrow" else 7 - now.weekday()
    return datetime.combine(now.date() + timedelta(days=days), MORNING, now.tzinfo).astimezone(UTC)


def _date(at: datetime, now: datetime) -> str:
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b %Y}"
