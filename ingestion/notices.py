"""What people are told of a job, in the transaction of its move: one row a job and person."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User

from ingestion import access, types
from ingestion.failpoints import hit
from ingestion.models import FINAL, Job, Schedule, State
from ingestion.outcomes import QUIET
from ingestion.serializers import display
from ingestion.source import find
from notifications import inbox
from notifications.models import Follow, Notification
from notifications.telling import MAX_TEXT, News

_TITLE = 150  # characters of a job's title that stay when words are added

_ENDED = {
    State.COMPLETED: (types.DONE, "{title} completed"),
    State.FAILED: (types.FAILED, "{title} failed"),
    State.CANCELLED: (types.CANCELLED, "{title} was cancelled"),
}
_WAITS = {"review": "{title} is ready to review", "upload": "{title} needs a file"}
_WAITS_FOR_OTHERS = "{title} waits for a reviewer"

People = Mapping[int, User]


def tell(jobs: Sequence[Job], moved: bool = True) -> None:
    """Move the streams of these jobs' people and, where the jobs made a move, write their rows.

    Owners and followers are told, without those who muted the job, its source or its object, and without
    whoever cancelled it or answered. Of one that waits for review its source's reviewers are told too.
    """
    news = _news(jobs) if moved else []
    inbox.tell(news, [job.owner_id for job in jobs if job.owner_id], [job.stream for job in jobs])
    hit("job.told.before_commit")


def _news(jobs: Sequence[Job]) -> list[News]:
    watchers, people = _watchers(jobs), _people(jobs)
    own = [(job, one) for job in jobs if (one := _of(job, watchers, people)) is not None]
    reviewers = _reviewers([job for job, _ in own])
    others = [
        _for_reviewers(one, job, reviewers[job.stream], people) for job, one in own if job.stream in reviewers
    ]
    # Who is told of a job twice has the first: a follower who is asked to review has that, then news again.
    asking = [one for one in others if not one.update_only]
    return [*asking, *(one for _, one in own), *(one for one in others if one.update_only)]


def _of(job: Job, watchers: Mapping[str, set[int]], people: People) -> News | None:
    """Return what a job that has just moved tells; None for one that has not begun."""
    kind, title, text = _words(job, people)
    if not kind:
        return None
    rests, data = job.state == State.PENDING, _drawn(job)
    if _is_for_others(job, people):
        title, data = _WAITS_FOR_OTHERS, _seen(data)
    return News(
        type=kind,
        title=title.format(title=job.title[:_TITLE]),
        text=text[:MAX_TEXT],
        url=f"/jobs/{job.pk}/",
        about=job.stream,
        group_key=job.stream,
        version=job.version,
        data=data,
        users=set().union([job.owner_id] if job.owner_id else [], *map(watchers.__getitem__, _wider(job))),
        followers=True,
        by=job.cancel_requested_by_id if job.state == State.CANCELLED else None,
        muted=_wider(job),
        quiet=rests or job.state == State.RUNNING or _brought_nothing(job),
        update_only=rests,
    )


def _brought_nothing(job: Job) -> bool:
    """Say whether nobody waits to hear of it: a schedule began it, nothing is new, and nobody joined."""
    if job.state != State.COMPLETED or not (job.result or {}).get(QUIET):
        return False
    began = Schedule.objects.filter(last_job=job.pk)
    asked = began.exclude(owner=None).values("owner")  # by schedules of their own, each joins the first's job
    joined = Follow.objects.filter(about=job.stream).exclude(user__in=asked)
    return began.filter(owner=job.owner_id).exists() and not joined.exists()


def _for_reviewers(own: News, job: Job, users: Collection[int], people: People) -> News:
    """Return what reviewers are told: that it waits for them. Later only the rows that they have go on."""
    source = find(job.source)
    page = source.review_url(job) if source is not None else ""
    users = set(users) - {job.owner_id}
    shown = replace(own, url=page, data=_seen(own.data), users=users, followers=False)
    if not _asks_review(job):
        return replace(shown, update_only=True)
    _, title, text = _words(job, people)
    owner = people.get(job.owner_id or 0)
    return replace(
        shown,
        title=title.format(title=job.title[:_TITLE]),
        text=f"{f'Started by {owner.get_username()}. ' if owner else ''}{text}"[:MAX_TEXT],
        data={**shown.data, "review": True},
    )


def _drawn(job: Job) -> dict[str, Any]:
    """Return how the inbox draws the row, and what its owner can do there; what is not so is left out."""
    drawn: dict[str, Any] = {"status": display(job)}
    if job.state not in FINAL:
        drawn["open"] = True
    again = job.leaves_work and job.state != State.CANCELLED
    act = "retry" if again else "review" if _asks_review(job) else ""
    return drawn | ({act: True, "owner": job.owner_id} if act else {})


def _seen(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a row is drawn for who cannot do what its owner can."""
    return {name: value for name, value in drawn.items() if name in ("status", "open")}


def _asks_review(job: Job) -> bool:
    return job.state == State.WAITING and (job.waiting_for or {}).get("kind") == "review"


def _is_for_others(job: Job, people: People) -> bool:
    """Say whether its source lets others review the job, and its owner not."""
    owner, source = people.get(job.owner_id or 0), find(job.source)
    if owner is None or source is None or not _asks_review(job):
        return False
    return not source.may_answer(job, "review", owner)


def _words(job: Job, people: People) -> tuple[str, str, str]:
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
        return kind, "{title} was rejected" if rejected else title, error or _kept(job, people)
    return kind, title, error or job.message


def _kept(job: Job, people: People) -> str:
    """Say what is left of a cancelled job."""
    canceller = people.get(job.cancel_requested_by_id or 0)
    whom = f"By {canceller.get_username() if canceller else 'the system'}"
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


def _reviewers(jobs: Sequence[Job]) -> Mapping[str, set[int]]:
    """Return by stream who is to review a job that asks for it, or has a row of one that asked.

    Two queries a source that has reviewers, however many they are.
    """
    found: defaultdict[str, set[int]] = defaultdict(set)
    for name in sorted({job.source for job in jobs}):
        source = find(name)
        if source is None or (who := source.reviewers()) is None:
            continue
        of_source = [job for job in jobs if job.source == name]
        asking = {job.stream for job in of_source if _asks_review(job)}
        if asking:
            everybody = set(who.values_list("pk", flat=True))
            found |= dict.fromkeys(asking, everybody)
        if going_on := {job.stream for job in of_source} - asking:
            # Also of who may not review any more: their row would say for ever that it waits for them.
            urls = [source.review_url(job) for job in of_source]
            rows = Notification.objects.filter(group_key__in=going_on, url__in=urls)
            for stream, user_id in rows.values_list("group_key", "recipient"):
                found[str(stream)].add(user_id)
    return found


def _people(jobs: Sequence[Job]) -> People:
    """Return who cancelled one of these jobs, and whose jobs go to reviewers: in one query if anybody."""
    ids = {job.cancel_requested_by_id for job in jobs if job.state == State.CANCELLED}
    ids |= {job.owner_id for job in jobs if _asks_review(job)}
    return User.objects.only("username").in_bulk(ids - {None}) if ids - {None} else {}
