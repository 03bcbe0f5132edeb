"""What people are told of a job, in the transaction of its move: one row a job and person."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User

from ingestion import access, types
from ingestion.failpoints import hit
from ingestion.models import FINAL, Job, State
from ingestion.serializers import display
from notifications import inbox
from notifications.models import Follow
from notifications.telling import MAX_TEXT, News

_TITLE = 150  # characters of a job's title that stay when words are added

_ENDED = {
    State.COMPLETED: (types.DONE, "{title} completed"),
    State.FAILED: (types.FAILED, "{title} failed"),
    State.CANCELLED: (types.CANCELLED, "{title} was cancelled"),
}
_WAITS = {"review": "{title} is ready to review", "upload": "{title} needs a file"}


def tell(jobs: Sequence[Job], moved: bool = True) -> None:
    """Move the streams of these jobs' people and, where the jobs made a move, write their rows.

    Owners and followers are told, without those who muted the job, its source or its object, and without
    whoever cancelled it or answered.
    """
    news = _news(jobs) if moved else []
    inbox.tell(news, [job.owner_id for job in jobs if job.owner_id], [job.stream for job in jobs])
    hit("job.told.before_commit")


def _news(jobs: Sequence[Job]) -> list[News]:
    watchers, names = _watchers(jobs), _who_cancelled(jobs)
    return [one for job in jobs if (one := _of(job, watchers, names)) is not None]


def _of(job: Job, watchers: Mapping[str, set[int]], names: Mapping[int, str]) -> News | None:
    """Return what a job that has just moved tells; None for one that has not begun."""
    kind, title, text = _words(job, names.get(job.cancel_requested_by_id or 0, ""))
    if not kind:
        return None
    rests = job.state == State.PENDING
    return News(
        type=kind,
        title=title.format(title=job.title[:_TITLE]),
        text=text[:MAX_TEXT],
        url=f"/jobs/{job.pk}/",
        about=job.stream,
        group_key=job.stream,
        version=job.version,
        data=_drawn(job),
        users=set().union([job.owner_id] if job.owner_id else [], *map(watchers.__getitem__, _wider(job))),
        followers=True,
        by=job.cancel_requested_by_id if job.state == State.CANCELLED else None,
        muted=_wider(job),
        quiet=rests or job.state == State.RUNNING,
        update_only=rests,
    )


def _drawn(job: Job) -> dict[str, Any]:
    """Return how the inbox draws the row, and what its owner can do there; what is not so is left out."""
    drawn: dict[str, Any] = {"status": display(job)}
    if job.state not in FINAL:
        drawn["open"] = True
    asks_review = job.state == State.WAITING and (job.waiting_for or {}).get("kind") == "review"
    again = job.leaves_work and job.state != State.CANCELLED
    act = "retry" if again else "review" if asks_review else ""
    return drawn | ({act: True, "owner": job.owner_id} if act else {})


def _words(job: Job, canceller: str) -> tuple[str, str, str]:
    error = (job.error or {}).get("text", "")
    if job.state == State.PENDING:
        return (types.STARTED, "{title} is queued again", job.message) if job.attempt else ("", "", "")
    if job.state == State.RUNNING:
        return types.STARTED, "{title} has started", ""
    if job.state == State.WAITING:
        asked: dict[str, Any] = job.waiting_for or {}
        return types.WAITING, _WAITS.get(asked.get("kind", ""), "{title} needs you"), asked.get("text", "")
    if job.state == State.PARTIAL:
        failed = job.items_failed
        errors = "1 error" if failed == 1 else f"{failed:,} errors" if failed else "errors"
        return types.PARTIAL, f"{{title}} finished with {errors}", job.message
    kind, title = _ENDED[State(job.state)]
    if job.state == State.CANCELLED:
        rejected = (job.error or {}).get("code") == "rejected"
        return kind, "{title} was rejected" if rejected else title, error or _kept(job, canceller)
    return kind, title, error or job.message


def _kept(job: Job, canceller: str) -> str:
    """Say what is left of a cancelled job."""
    whom = f"By {canceller or 'the system'}"
    if not job.items_done:
        return f"{whom}."
    return f"{whom}, after {job.items_done:,} of {job.items_total:,}. What was stored is kept."


def _wider(job: Job) -> list[str]:
    """Return the names of what the job belongs to: its source and its object."""
    return [f"source:{job.source}", *([job.object] if job.object else [])]


def _watchers(jobs: Sequence[Job]) -> Mapping[str, set[int]]:
    """Return who follows the sources and objects of these jobs, and may see the jobs: in one query."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    if names := {name for job in jobs if job.watched for name in _wider(job)}:
        # Members of an object (a workspace, a topic) join this condition when such objects exist.
        follows = Follow.objects.filter(about__in=names, user__in=access.who_view_all())
        for name, user_id in follows.values_list("about", "user_id"):
            found[name].add(user_id)
    return found


def _who_cancelled(jobs: Sequence[Job]) -> Mapping[int, str]:
    """Return the names of those who cancelled one of these jobs, in one query if anybody did."""
    cancelled = [job.cancel_requested_by_id for job in jobs if job.state == State.CANCELLED]
    ids = {by for by in cancelled if by is not None}
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username")) if ids else {}
