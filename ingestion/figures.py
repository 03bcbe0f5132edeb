"""Figures for people: what a job's numbers and times read like. Never more than is known."""

import math
from datetime import UTC, datetime, timedelta

from ingestion.models import FINAL, Job, State

RATE_AFTER = 10  # seconds and
RATE_ITEMS = 3  # items before a rate or a time left is worth saying


def percent(job: Job) -> int:
    """Return how far a job is, rounded down; 100 only when all of it is done."""
    if job.state == State.COMPLETED or (job.state == State.PARTIAL and not job.leaves_work):
        return 100
    if job.state in FINAL and job.items_total:
        return min(99, math.floor(100 * (job.items_done + job.items_skipped) / job.items_total))
    return min(99, math.floor(100 * job.progress))


def bar(job: Job) -> tuple[float, float]:
    """Return the widths of the done and the failed part of a job's bar, in percent, as live.js draws them."""
    progress = 100.0 if job.state in (State.COMPLETED, State.PARTIAL) else 100.0 * job.progress
    ended = job.items_done + job.items_skipped + job.items_failed
    if ended:
        failed = progress * job.items_failed / ended
        return progress - failed, failed
    return (0.0, progress) if job.state == State.FAILED else (progress, 0.0)


def duration(seconds: float | timedelta | None) -> str:
    """Return a duration in words: 0.4 s, 48 s, 6 min 10 s, 2 h 5 min."""
    if seconds is None:
        return ""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    seconds = max(0.0, seconds)
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole % 3600 >= 60 else f"{whole // 3600} h"


def clock(seconds: float | timedelta | None) -> str:
    """Return a duration as a running clock shows it: 5:09, 1:02:03."""
    if seconds is None:
        return ""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    whole = max(0, int(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, more coarsely the older it is; both are in the reader's time zone."""
    if at is None:
        return ""
    # Within one zone, subtracting compares clocks on the wall: an hour off where summer time began or ended.
    seconds = int((now.astimezone(UTC) - at.astimezone(UTC)).total_seconds())
    if seconds < 0:
        return f"in {duration(-seconds)}"
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    if seconds < 86400:
        return f"{seconds // 3600} h ago"
    if (now.date() - at.date()).days <= 1:
        return "Yesterday"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b %Y}"


def left(job: Job, now: datetime) -> float | None:
    """Return the seconds left, rounded as coarsely as we know them, or None before there is a basis."""
    if job.state != State.RUNNING or job.eta_seconds is None or job.started_at is None:
        return None
    finished = job.items_done + job.items_failed + job.items_skipped
    if (now - job.started_at).total_seconds() < RATE_AFTER and finished < RATE_ITEMS:
        return None
    unit = 10 if job.eta_seconds < 60 else 60 if job.eta_seconds < 600 else 300
    return max(unit, math.ceil(job.eta_seconds / unit) * unit)


def rate(job: Job) -> str:
    """Return a rate in words: 3.1/min, 1 every 3 min; empty before there is a basis."""
    if job.rate is None or job.rate <= 0 or job.items_done + job.items_failed < RATE_ITEMS:
        return ""
    if job.rate < 1:
        return f"1 every {round(1 / job.rate)} min"
    return f"{job.rate:,.1f}/min" if job.rate < 10 else f"{job.rate:,.0f}/min"
