"""A job's items as lines of JSON, each as soon as it has ended, and at the end the job. (S2.112)

They come in the order in which they ended: an item's version is the job's at that moment, and both commit
together. So what lies between two versions is read in pieces, and nothing of it twice. Some end together and
have one version: what a retry took over, what is no longer listed. Who goes on after one of these gets all of
them again, as only the version says where they were.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from ninja import Router, Schema
from pydantic import Field

from config.http import RowId, StrictQuery
from config.problems import Problem
from ingestion import access, serializers, waiting
from ingestion.models import FINAL, ItemState, Job, JobItem
from realtime import hub as hubs
from realtime.seats import sleeper

NDJSON = "application/x-ndjson"
ROWS = 500  # of one piece
ENDED = (ItemState.DONE, ItemState.FAILED, ItemState.SKIPPED, ItemState.QUARANTINED)
router = Router(tags=["jobs"])


class LinesFilter(Schema):
    """From where to tell, and how long to stay."""

    since: Annotated[
        int,
        Field(
            ge=0,
            lt=2**63,
            description="The `version` of the last line you have; where several ended together, all of them",
        ),
    ] = 0
    timeout: Annotated[
        float, Field(ge=0, le=60, description="Seconds to go on with what ends meanwhile; 0: what has ended")
    ] = 0.0


@router.api_operation(
    ["GET", "HEAD"],
    "/jobs/{job_id}/items.ndjson",
    operation_id="stream_items",
    openapi_extra={"responses": {200: {"content": {NDJSON: {"schema": {"type": "object"}}}}}},
)
async def stream_items(
    request: HttpRequest, job_id: RowId, filters: Annotated[LinesFilter, StrictQuery(...)]
) -> HttpResponseBase:
    """Tell of a job's items as they end, one line of JSON each, `type` "item"; the last line is the job.

    A stream that ended before the job did says so by the job's state: go on with `since`.
    """
    if request.method == "HEAD":
        await waiting.in_thread(lambda: _visible(request, job_id))
        return HttpResponse(content_type=NDJSON)
    pieces = _pieces(request, job_id, filters)
    first = await anext(pieces)  # while a refusal can still be told as one
    response = StreamingHttpResponse(_joined(first, pieces), content_type=NDJSON)
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # a proxy that collects would tell all at the end
    return response


async def _joined(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    if first:
        yield first
    try:
        async for piece in rest:
            yield piece
    except Problem as problem:  # the sign-in ended meanwhile, or the job is gone
        yield _line({"type": "problem", "code": problem.code})


async def _pieces(request: HttpRequest, pk: UUID, filters: LinesFilter) -> AsyncIterator[str]:
    """Yield what has ended, at once, be it nothing; then what ends in time; the job itself comes last."""
    clock = asyncio.get_running_loop().time
    end = clock() + min(filters.timeout, settings.MAX_WAIT_SECONDS)
    place = await waiting.in_thread(partial(_place, request, pk, filters.since))
    stream = f"job:{pk}"
    with waiting.place(int(request.user.pk or 0)):
        # Watched before it is read: what moves in between wakes us.
        async with sleeper(hubs.current(), waiting.standing(request)) as viewer:
            asked = False
            while True:
                job, rows = await waiting.in_thread(partial(_ended, request, pk, place))
                place = (rows[-1].version, rows[-1].pk) if rows else place
                if rows or not asked:
                    yield "".join(_line({"type": "item", **serializers.item_data(row)}) for row in rows)
                asked = True
                if len(rows) == ROWS:
                    continue
                if job.state in FINAL or viewer.closed or clock() >= end:
                    break
                if not viewer.streams:
                    hubs.current().watch(viewer, [stream])
                await viewer.sleep(end - clock())
    yield _line({"type": "job", **serializers.job_data(job)})


def _ended(request: HttpRequest, pk: UUID, place: tuple[int, int]) -> tuple[Job, list[JobItem]]:
    """Return the job, and the next of its items that have ended. Raises Problem not_found."""
    job = _visible(request, pk)  # first: of an ended job all items are there
    version, after = place
    later = Q(version__gt=version) | Q(version=version, pk__gt=after)
    rows = job.items.filter(later, version__gte=version, state__in=ENDED).order_by("version", "pk")
    return job, list(rows[:ROWS])


def _place(request: HttpRequest, pk: UUID, since: int) -> tuple[int, int]:
    """Return after which version and row to go on. Raises Problem not_found."""
    together = _visible(request, pk).items.filter(version=since, state__in=ENDED)[:2].count() > 1
    return since, 0 if together else 2**63 - 1


def _visible(request: HttpRequest, pk: UUID) -> Job:
    job = serializers.for_json(access.visible_jobs(request.user)).filter(pk=pk).first()
    if job is None:
        raise Problem("not_found")
    return job


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, allow_nan=False) + "\n"
