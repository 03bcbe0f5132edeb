"""The API of what operators see and do: how it goes, dead letters, and many jobs at once."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from config import paging, texts
from config.http import JsonBody, RowId, StrictModel, StrictQuery, answer
from config.problems import Problem
from ingestion import access, bulk, dead_letters, lists, overview, serializers
from ingestion.api_answers import JobOut
from ingestion.api_requests import MAX_QUERY, PageFilter
from ingestion.models import Dismissal
from ingestion.requested import acting_job, for_others

READ = ["GET", "HEAD"]
router = Router(tags=["operate"])

Within = Literal["1h", "24h", "7d"]
Verb = Literal["cancel", "retry", "delete"]


# ---- how it goes ------------------------------------------------------------------------------------------


class OverviewFilter(Schema):
    """Over which time failures are counted."""

    within: Within = "24h"


class OverviewQueueOut(Schema):
    """A queue. `oldest`: seconds that its first job waits. `per_minute`: ended, over the last five."""

    name: str
    waiting: int
    oldest: float | None
    running: int
    workers: int
    per_minute: int


class OverviewLimitOut(Schema):
    """The slots of a limit that anything uses."""

    name: str
    used: int
    of: int


class OverviewWorkerOut(Schema):
    """A worker. `age`: seconds since it was heard of. `job`: what it does, where you may see it."""

    name: str
    host: str
    status: str
    age: float
    busy: bool
    job: UUID | None


class OverviewKeeperOut(Schema):
    """A keeper. `age`: seconds since it was heard of."""

    name: str
    age: float


class OverviewPauseOut(Schema):
    """What somebody, or the system, holds back."""

    scope: str
    reason: str
    until: datetime | None


class OverviewCauseOut(Schema):
    """Jobs that failed for one cause; `text` is what the newest says."""

    source: str
    code: str
    count: int
    last: datetime
    text: str | None


class OverviewOut(Schema):
    """What ended within the last hour, what waits, who works, what is held back, and what fails why."""

    ended: int
    failed: int
    queues: list[OverviewQueueOut]
    limits: list[OverviewLimitOut]
    workers: list[OverviewWorkerOut]
    keepers: list[OverviewKeeperOut]
    pauses: list[OverviewPauseOut]
    causes: list[OverviewCauseOut]


@router.api_operation(READ, "/operate", response=OverviewOut, operation_id="get_overview")
def get_overview(request: HttpRequest, asked: Annotated[OverviewFilter, StrictQuery(...)]) -> HttpResponse:
    """Say how it goes, to staff who may see all jobs."""
    if not access.can_view_all(request.user):
        raise Problem("permission_denied")
    found = overview.context(request.user, asked.within)
    return answer(
        {
            "ended": found["throughput"]["good"] + found["throughput"]["bad"],
            "failed": found["throughput"]["bad"],
            "queues": [_named(OverviewQueueOut, one) for one in found["queues"]],
            "limits": [_named(OverviewLimitOut, one) for one in found["limits"]["rows"]],
            "workers": [
                _named(OverviewWorkerOut, {**one, "job": one["job"] and one["job"].pk})
                for one in found["workers"]
            ],
            "keepers": found["keepers"],
            "pauses": [_named(OverviewPauseOut, vars(one)) for one in found["pauses"]],
            "causes": [_named(OverviewCauseOut, one) for one in found["causes"]["rows"]],
        }
    )


def _named(shape: type[Schema], values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in shape.model_fields}


# ---- dead letters -----------------------------------------------------------------------------------------


class DeadLetterFilter(PageFilter):
    """Which dead letters: of one source, those that nobody has looked after or those that were dismissed."""

    source: Annotated[str | None, Field(min_length=1, max_length=50)] = None
    dismissed: bool = False


class DismissIn(StrictModel):
    """Why it needs nobody any more."""

    reason: Annotated[str, Field(max_length=dead_letters.MAX_REASON)] = ""


class DismissedOut(Schema):
    """Who said that it needs nobody any more, and why."""

    by: str | None
    reason: str
    at: datetime


class DeadLetterOut(Schema):
    """A job that failed for good, or set items aside. `wrong`: its last errors and warnings, newest first."""

    job: JobOut
    set_aside: int
    set_aside_keys: list[str]
    wrong: list[str]
    dismissed: DismissedOut | None


class DeadLettersOut(Schema):
    """A page of dead letters."""

    dead_letters: list[DeadLetterOut]
    next: str | None


@router.api_operation(READ, "/dead-letters", response=DeadLettersOut, operation_id="list_dead_letters")
def list_dead_letters(
    request: HttpRequest, asked: Annotated[DeadLetterFilter, StrictQuery(...)]
) -> HttpResponse:
    """List what failed for good and nobody has retried or dismissed, what ended last first."""
    filters = asked.dict(include={"source", "dismissed"})
    scope = paging.Scope("dead-letters", int(request.user.pk or 0), filters)
    after = paging.read_cursor(scope, asked.cursor)
    jobs = dead_letters.find(
        request.user,
        dismissed=asked.dismissed,
        kind=asked.source or "",
        before=after and (datetime.fromisoformat(after[0]), UUID(after[1])),
    )
    found: list[Any] = list(serializers.for_json(jobs)[: asked.limit + 1])
    shown, following = paging.page(
        found, asked.limit, scope, lambda job: [job.finished_at.isoformat(), str(job.pk)]
    )
    now = timezone.now()
    told = [_dead_letter(job, request.user, now, job.dismissal if asked.dismissed else None) for job in shown]
    return answer({"dead_letters": told, "next": following})


@router.post("/dead-letters/{job_id}/dismiss", response={204: None}, operation_id="dismiss_dead_letter")
def dismiss_dead_letter(
    request: HttpRequest, job_id: RowId, body: Annotated[DismissIn | None, JsonBody(...)] = None
) -> HttpResponse:
    """Say that a job needs nobody any more. Retrying it does that too."""
    dead_letters.dismiss(acting_job(request, job_id), request.user, (body or DismissIn()).reason)
    return HttpResponse(status=204)


@router.post("/dead-letters/{job_id}/put-back", response={204: None}, operation_id="put_back_dead_letter")
def put_back_dead_letter(request: HttpRequest, job_id: RowId) -> HttpResponse:
    """Take a dismissal back."""
    dead_letters.put_back(acting_job(request, job_id), request.user)
    return HttpResponse(status=204)


def _dead_letter(job: Any, user: Any, now: datetime, dismissal: Dismissal | None) -> dict[str, Any]:
    return {
        "job": serializers.api_job(job, user, now=now),
        "set_aside": job.aside,
        "set_aside_keys": job.aside_keys,
        "wrong": job.wrong,
        "dismissed": dismissal
        and {
            "by": dismissal.by and dismissal.by.get_username(),
            "reason": dismissal.reason,
            "at": dismissal.at,
        },
    }


# ---- many jobs at once ------------------------------------------------------------------------------------


class ManyFilter(StrictModel):
    """Which jobs are meant. `by`: their owner. `within`: since when they have ended."""

    state: Annotated[str, Field(pattern=f"^({'|'.join(lists.STATES)})$")] = ""
    source: Annotated[str, Field(max_length=50)] = ""
    by: Annotated[str, Field(max_length=150)] = ""
    q: Annotated[str, Field(max_length=MAX_QUERY, description="In title or subject, or an id")] = ""
    error: Annotated[str, Field(max_length=100, description="The code of their error")] = ""
    within: Within | Literal[""] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _says_something(cls, value: Any) -> Any:
        """Refuse a filter of which nothing shows: it would be none, and all jobs would match."""
        if isinstance(value, str) and value and not texts.shows(value):
            raise PydanticCustomError("invisible", "Nothing of this filter can be seen.")
        return value


class ManyIn(StrictModel):
    """What to do to the jobs that match, with the count and the newest id that were told before."""

    verb: Verb
    filter: ManyFilter
    count: Annotated[int, Field(strict=True, ge=0, le=bulk.MOST)]
    newest: RowId


class ManyFoundOut(Schema):
    """How many jobs a verb would change. `more`: too many match; the filter must be narrowed."""

    count: int
    more: bool
    newest: UUID | None


class ManyCountsOut(Schema):
    """What each verb would change."""

    cancel: ManyFoundOut
    retry: ManyFoundOut
    delete: ManyFoundOut


class ManyRefusalOut(Schema):
    """Why some were left as they are."""

    text: str
    count: int


class ManyDoneOut(Schema):
    """What was done. `left`: not reached in time; count again and go on."""

    count: int
    left: int
    refusals: list[ManyRefusalOut]


@router.api_operation(READ, "/many-jobs", response=ManyCountsOut, operation_id="count_many_jobs")
def count_many_jobs(request: HttpRequest, asked: Annotated[ManyFilter, StrictQuery(...)]) -> HttpResponse:
    """Count the jobs that match, that each verb would change, and that you may act on."""
    filters = _filters(request, asked)
    found = {verb: bulk.find(request.user, filters, verb) for verb in bulk.VERBS}
    return answer({verb: vars(one) | {"newest": one.newest or None} for verb, one in found.items()})


@router.post("/many-jobs", response=ManyDoneOut, operation_id="act_on_many_jobs")
def act_on_many_jobs(request: HttpRequest, body: Annotated[ManyIn, JsonBody(...)]) -> HttpResponse:
    """Cancel, retry or delete all jobs that match, if they are still about as many as were counted.

    409 `changed_meanwhile`, with nothing done, when they are not, or when too many match.
    """
    filters, newest = _filters(request, body.filter), str(body.newest)
    found = bulk.find(request.user, filters, body.verb, newest)
    if found.more:
        raise Problem("changed_meanwhile", detail=f"More than {found.count:,} match. Nothing was done.")
    if bulk.moved(body.count, found.count):
        detail = f"{body.count:,} were counted, by now it would be {found.count:,}. Nothing was done."
        raise Problem("changed_meanwhile", detail=detail)
    done = bulk.act(request.user, filters, body.verb, newest)
    refusals = [{"text": text, "count": count} for text, count in done.refusals.most_common(5)]
    return answer({"count": done.count, "left": done.left, "refusals": refusals})


def _filters(request: HttpRequest, asked: ManyFilter) -> lists.Filters:
    """Return the filters of the list of jobs; a token without `operate` means its own user's jobs alone."""
    said = asked.model_dump()
    if not for_others(request):
        if said["by"] not in ("", request.user.get_username()):
            raise Problem("permission_denied")
        said["by"] = request.user.get_username()
    return lists.Filters(**said)
