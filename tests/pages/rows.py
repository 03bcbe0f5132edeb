"""Rows for the tests of pages: jobs in every state, as the engine would leave them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from ingestion import notices
from ingestion.models import Job, JobEvent, JobItem
from notifications import acting, inbox
from notifications.models import Notification

STEPS = {
    "look": {"label": "Look around", "weight": 10},
    "fill": {"label": "Fill the shelf", "weight": 80},
    "tidy": {"label": "Tidy up", "weight": 10},
}


def job(owner: Any, state: str = "pending", **values: Any) -> Job:
    """Make a job of the demo source in a state, with what the constraints ask for."""
    now = timezone.now()
    begun = now - timedelta(minutes=5, seconds=9)
    of_state: dict[str, dict[str, Any]] = {
        "pending": {"pending_reason": "queue"},
        "running": {
            "lease_token": uuid4(),
            "lease_until": now + timedelta(seconds=600),
            "started_at": begun,
            "attempt": 1,
        },
        "waiting": {
            "waiting_for": {
                "kind": "review",
                "since": now.isoformat(),
                "text": "61 of 5,000 rows need a decision",
            },
            "started_at": begun,
            "attempt": 1,
        },
        "failed": {"error": {"code": "broken", "text": "The shelf broke."}},
    }
    defaults: dict[str, Any] = {"pending_reason": "", **of_state.get(state, {})}
    if state in ("completed", "partial", "failed", "cancelled"):
        defaults |= {"started_at": begun, "finished_at": now - timedelta(minutes=1), "attempt": 1}
        if state == "completed":
            defaults["progress"] = 1.0
    fields = {"source": "shelves", "queue": "default", "title": "Shelves", "subject": "shelf", "owner": owner}
    return Job.objects.create(**{**fields, **defaults, "state": state, **values})


def end(of: Job, state: str, done: int, failed: int = 0, message: str = "") -> None:
    """Let a running job end as its worker would, but for its history."""
    of.state, of.message, of.version = state, message, of.version + 1
    of.items_total, of.items_done, of.items_failed = done + failed, done, failed
    of.finished_at, of.lease_token, of.lease_until = timezone.now(), None, None
    of.save()


def steps(**states: str) -> dict[str, dict[str, Any]]:
    """Return the steps of the demo source; a started one has a start, only a completed one an end."""
    now = timezone.now()
    found = {}
    for n, (name, step) in enumerate(STEPS.items()):
        state = states.get(name, "pending")
        started = (now - timedelta(seconds=300 - 60 * n)).isoformat() if state != "pending" else None
        finished = (now - timedelta(seconds=240 - 60 * n)).isoformat() if state == "completed" else None
        found[name] = {
            **step,
            "state": state,
            "started_at": started,
            "finished_at": finished,
            "done": 0,
            "total": None,
        }
    return found


def items(of: Job, states: dict[str, int], **values: Any) -> None:
    """Give a job items, so many of each state, and the counts that fit them."""
    rows = []
    for state, count in states.items():
        for _ in range(count):
            n = len(rows)
            bad = {"error_code": "broken_box", "error": "The box is broken."} if state == "failed" else {}
            fields = {
                "step": "fill",
                "key": f"k{n:04}",
                "label": f"Box {n:04}",
                "ordinal": n,
                "state": state,
                **bad,
                **values,
            }
            rows.append(JobItem(job=of, **fields))
    JobItem.objects.bulk_create(rows)
    failed = states.get("failed", 0) + states.get("quarantined", 0)
    Job.objects.filter(pk=of.pk).update(
        items_total=len(rows),
        items_done=states.get("done", 0),
        items_failed=failed,
        items_skipped=states.get("skipped", 0),
    )
    of.refresh_from_db()


def event(of: Job, message: str, level: str = "info") -> JobEvent:
    """Add a line to a job's history."""
    Job.objects.filter(pk=of.pk).update(version=of.version + 1)
    of.version += 1
    return JobEvent.objects.create(job=of, version=of.version, kind="log", level=level, message=message)


def note(user: Any, title: str, ago: timedelta = timedelta(0), **values: Any) -> Notification:
    """Tell a user something that much time ago.

    values: of `notifications.inbox.notify`; `read` makes it read.
    """
    read = values.pop("read", False)
    ((pk, *_),) = inbox.notify([user], values.pop("type", "system"), title, **values)
    Notification.objects.filter(pk=pk).update(updated_at=timezone.now() - ago)
    if read:
        acting.read(user, [pk])
    return Notification.objects.get(pk=pk)


def told(of: Job, ago: timedelta = timedelta(0)) -> Notification:
    """Tell a job's owner how it stands, as its move would have that much time ago."""
    notices.tell([of])
    found = Notification.objects.filter(recipient=of.owner, group_key=of.stream)
    found.update(updated_at=timezone.now() - ago)
    return found.get()


def inbox_of(user: Any) -> None:
    """Tell a user one of each kind, over some days."""
    minute, day = timedelta(minutes=1), timedelta(days=1)
    told(job(user, "failed", title="10-K 2022", error={"text": "The filing is gone."}), minute)
    told(job(user, "waiting", title="register.csv"), 3 * minute)
    note(user, "Wed 18 Nov is complete", 14 * minute, level="success", url="/", text="214 items.")
    told(job(user, "running", title="Ingest MSFT"), 50 * minute)
    note(user, "Planned maintenance " + "withoutaspace" * 9, 60 * minute, read=True)
    errors = {"items_failed": 38, "items_done": 962, "items_total": 1000, "message": "962 of 1,000 articles."}
    told(job(user, "partial", title="Topic analysis", **errors), 100 * minute)
    told(job(user, "completed", title="Ingest TSLA", message="24 filings, 28,114 facts."), 120 * minute)
    for n in range(12):
        ago = day + n * minute / 4
        note(user, f"Topic {n} was collected", ago, type="auto_ingest_complete", url="/jobs/")
    told(job(user, "cancelled", title="Ingest ADYEN"), 2 * day)
    note(user, "Another site has news", 3 * day, url="https://news.example.org/a?b=c", read=True)
    note(user, "Rent is due", 40 * day, read=True, data={"snoozed_since": "2026-11-01T10:00:00Z"})
