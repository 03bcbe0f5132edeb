"""What the home page shows: the start form, and the user's own jobs in three short lists."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, QuerySet
from django.utils import timezone

from ingestion import serializers, source, stability
from ingestion.access import can_act, visible_jobs
from ingestion.forms import StartForm, source_form
from ingestion.models import FINAL, OPEN, Job, State
from realtime.models import Epoch

MAX_ACTIVE = 5
MAX_RECENT = 6
MAX_WAITING = 5
MAX_ASKING = 50  # looked at for whom they wait


def start(kind: source.Source | None, form: StartForm | None = None) -> dict[str, Any]:
    """Return the start form of a source, the first one unless told."""
    kinds = [one for one in source.registry().values() if one.offered]
    chosen = kind or next(iter(kinds), None)
    return {"kinds": kinds, "kind": chosen, "form": form or (source_form(chosen) if chosen else None)}


def habit(lists: Mapping[str, Any]) -> source.Source | None:
    """Return what the user started last, of the jobs that `overview` found."""
    jobs = [*lists["active"], *lists["waiting"], *lists["recent"]]
    latest = max(jobs, key=lambda job: job.pk, default=None)
    found = source.find(latest.source) if latest else None
    return found if found and found.offered else None


def overview(user: Any) -> dict[str, Any]:
    """Return the lists. Waiting jobs need the user, so they have a list of their own."""
    mine = serializers.for_json(visible_jobs(user).filter(owner=user))
    active = mine.filter(state__in=OPEN).exclude(state=State.WAITING)
    running = list(active.filter(state=State.RUNNING).order_by("-pk")[:MAX_ACTIVE])
    queued = list(active.filter(state=State.PENDING).order_by("pk")[: MAX_ACTIVE - len(running)])
    asking = list(mine.filter(state=State.WAITING).order_by("pk")[:MAX_ASKING])
    waiting = [job for job in asking if can_act(user, job) and "answer" in serializers.can(job, user)]
    for_others = [job for job in asking if job not in waiting]
    recent = list(mine.filter(state__in=FINAL).order_by("-pk")[:MAX_RECENT])
    others = _to_review(user)
    reviews = [(job, source.get(job.source).review_url(job)) for job in others.order_by("pk")[:MAX_WAITING]]
    counts = dict.fromkeys(OPEN, 0) | _counts(user)
    return {
        "active": [*running, *queued, *for_others][:MAX_ACTIVE],
        "waiting": waiting[:MAX_WAITING],
        "reviews": reviews,
        "recent": recent,
        "running_count": counts[State.RUNNING],
        "queued_count": counts[State.PENDING],
        "waiting_count": counts[State.WAITING]
        - len(for_others)
        + (others.count() if len(reviews) == MAX_WAITING else len(reviews)),
        "active_count": counts[State.RUNNING] + counts[State.PENDING] + len(for_others),
        "now": timezone.now(),
        "system": stability.kept(),
        "refresh": bool(running or queued),
    }


def _to_review(user: Any) -> QuerySet[Job]:
    """Return the jobs of others that wait for this user's review; the job itself may not be theirs to see."""
    asked = [(kind.kind, who) for kind in source.registry().values() if (who := kind.reviewers()) is not None]
    mine = [name for name, who in asked if who.filter(pk=user.pk).exists()]
    if not mine:
        return Job.objects.none()
    return Job.objects.filter(source__in=mine, state=State.WAITING, waiting_for__kind="review").exclude(
        owner=user
    )


def _counts(user: Any) -> dict[State, int]:
    rows = Job.objects.filter(owner=user, state__in=OPEN).values_list("state").annotate(Count("pk"))
    return {State(state): count for state, count in rows}


def epoch() -> str:
    """Return the deployment's epoch: a version means something only together with it."""
    return Epoch.objects.values_list("value", flat=True).first() or ""
